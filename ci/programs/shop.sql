-- Tables, indices, joins, sorting, text, updates and deletions in memory. Prints lines that depend on nothing.
create table customer (id integer primary key, name text, town text);
create table orders (id integer primary key, customer integer, item text, price integer, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into customer select i, 'customer ' || i, 'town ' || (i * 7919 % 300) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
insert into orders select i, 1 + i * 48271 % 20000, 'item ' || (i * 16807 % 1000), i * 69621 % 5000, printf('%0*d', i % 80, i) from n;
create index by_customer on orders(customer);
create index by_item on orders(item, price);
select town, count(*), sum(price) from orders join customer on customer.id = orders.customer group by town order by 3 desc, 1 limit 10;
select item, max(price), group_concat(id) from (select * from orders order by id) where price > 4800 group by item order by item limit 10;
update orders set note = upper(note) || '-' || item where id % 3 = 0;
delete from orders where id % 7 = 0;
select count(*), sum(length(note)), count(distinct note) from orders;
select count(*) from (select a.id from orders a join orders b on a.item = b.item and a.price = b.price and a.id < b.id);
with recursive t(i, s) as (select 1, 'x' union all select i + 1, substr(s || i || ',', -2000) from t where i < 20000)
select length(s), substr(s, 1, 20) from t where i = 20000;
vacuum;
pragma integrity_check;
