"""Four threads that answer requests with SQLite, JSON, regular expressions and pages put together from strings."""

import json
import queue
import re
import sqlite3
import threading

REQUESTS = 2500
requests, answers = queue.Queue(), []


def answer():
    database = sqlite3.connect(":memory:")
    database.execute("create table visits(id integer primary key, name text, worth real)")
    total = 0
    while (nth := requests.get()) is not None:
        # Of the request alone, whichever thread has it.
        database.execute("delete from visits")
        database.executemany(
            "insert into visits(name, worth) values(?, ?)", [(f"n{nth * row % 977}", row * 0.5) for row in range(400)]
        )
        rows = database.execute(
            "select name, count(*), sum(worth) from visits group by name order by 2 desc, 1 limit 50"
        ).fetchall()
        body = json.dumps([{"name": name, "count": count, "worth": worth} for name, count, worth in rows])
        page = "".join(f"<tr><td>{entry['name']}</td><td>{entry['count']}</td></tr>" for entry in json.loads(body))
        total += len(body) + len(re.findall(r"<td>n(\d+)</td>", page))
    answers.append(total)


threads = [threading.Thread(target=answer) for _ in range(4)]
for thread in threads:
    thread.start()
for nth in range(REQUESTS):
    requests.put(nth)
for _ in threads:
    requests.put(None)
for thread in threads:
    thread.join()
print(sum(answers))
