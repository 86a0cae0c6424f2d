//! `tenure report`: what the page says, of statistics that a real program has written, and what is said of files that
//! are no statistics.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use scraper::{ElementRef, Html, Selector};
use serde_json::Value;
use support::{Run, compile};

/// A folder of the test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A program that grows for 400 ms, and says every 20 ms how far it is. The file with what it has said.
fn series(folder: &Path) -> PathBuf {
    let file = folder.join("series.json");
    let run = Run::on_tenure(&compile("grows.c", &[])).arg("400");
    run.env("TENURE_STATS_EVERY", "20ms").env("TENURE_STATS_FILE", &file).succeeds();
    file
}

#[test]
fn rounding_is_shown_where_exact_bytes_were_counted() {
    let folder = folder("rounding");
    let rows = |exact: &str| {
        let file = folder.join(format!("exact-{exact}.json"));
        let run = Run::on_tenure(&compile("exact.c", &[])).env("TENURE_EXACT", exact);
        run.env("TENURE_STATS", "json").env("TENURE_STATS_FILE", &file).succeeds();
        let page = page(&[&file]);
        texts(&page, "table.rounding tbody tr")
            .into_iter()
            .map(|row| row.split_whitespace().collect::<String>())
            .collect::<Vec<_>>()
    };
    let shown = rows("1");
    // 400 blocks of 3,072 bytes, for which 1,164,400 were asked.
    assert!(shown.iter().any(|row| row.starts_with("3,072400")), "{shown:?}");
    assert!(shown.iter().any(|row| row.starts_with("spans10")), "{shown:?}");
    assert_eq!(rows("0"), Vec::<String>::new());
}

fn snapshots(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn report(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    command.arg("report").args(arguments).output().expect("the command can be run")
}

/// The page of some files, without a mistake in it.
fn page(files: &[&Path]) -> Html {
    let output = report(files.iter().map(|file| file.as_os_str()).chain(["-o".as_ref(), "-".as_ref()]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let page = Html::parse_document(&String::from_utf8(output.stdout).expect("the page is text"));
    assert!(page.errors.is_empty(), "{:?}", page.errors);
    assert_fetches_nothing(&page);
    page
}

/// Asserts that there is nothing in the page for which a browser would go anywhere, and that it is told not to.
fn assert_fetches_nothing(page: &Html) {
    for element in all(page, "*") {
        for (name, value) in element.value().attrs() {
            assert!(!matches!(name, "src" | "data" | "poster" | "background" | "action"), "{name}={value}");
            assert!(name != "href" || value.starts_with('#'), "{name}={value}");
            assert!(name == "srcdoc" || !value.contains("://"), "{name}={value}");
            assert!(!name.starts_with("on"), "{name}={value}");
        }
    }
    assert!(all(page, "script, link, img, object, embed, base").is_empty());
    let style = texts(page, "style").join("\n");
    assert!(!style.contains("url(") && !style.contains("@import"), "{style}");
    assert!(
        all(page, "meta[http-equiv='Content-Security-Policy']")[0]
            .attr("content")
            .unwrap()
            .contains("default-src 'none'")
    );
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).expect("a selector")).collect()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect()
}

fn texts(page: &Html, selector: &str) -> Vec<String> {
    all(page, selector).into_iter().map(text).collect()
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is no number: {value}"))
}

/// A number without what groups its digits.
fn plain(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// The bytes in the row of this name of the balance's table.
fn in_balance(page: &Html, selector: &str) -> Vec<(String, u64)> {
    let cell = |row: ElementRef<'_>, selector: &str| -> Vec<String> {
        row.select(&Selector::parse(selector).unwrap()).map(text).collect()
    };
    // The shares follow the exact figures, and the meanings end the row.
    let row = |row| {
        let cells = cell(row, "td");
        (cell(row, "th").concat(), plain(&cells[cells.len() - 3]))
    };
    all(page, selector).into_iter().map(row).collect()
}

#[test]
fn the_page_of_a_series_has_the_figures_that_the_program_wrote() {
    let file = series(&folder("figures"));
    let snapshots = snapshots(&file);
    assert!(snapshots.len() > 5, "{} snapshots", snapshots.len());
    let (page, last) = (page(&[&file]), snapshots.last().unwrap());

    assert_eq!(texts(&page, "h1"), [format!("Memory of process {}", number(last, "process_id"))]);
    let parts = in_balance(&page, ".balance tbody tr");
    let mut wrong = parts.clone();
    wrong.retain(|(_, bytes)| {
        !last["balance"].as_object().unwrap().values().any(|value| value.as_u64() == Some(*bytes))
    });
    assert_eq!(wrong, []);
    assert_eq!(parts.iter().map(|(_, bytes)| bytes).sum::<u64>(), number(last, "committed"));
    let whole = in_balance(&page, ".balance tfoot tr");
    let resident = number(&last["system"], "resident");
    assert_eq!(whole, [("committed".to_owned(), number(last, "committed")), ("resident".to_owned(), resident)]);
    let figures = texts(&page, "td.number").into_iter().filter(|text| !text.contains(' ')).collect::<Vec<_>>();
    for figure in [number(last, "live_blocks"), number(last, "reserved"), number(last, "peak_committed")] {
        assert!(figures.iter().any(|text| !text.is_empty() && text.replace(',', "") == figure.to_string()), "{figure}");
    }
}

#[test]
fn the_course_has_an_area_for_each_line_and_a_place_to_point_at_for_each_snapshot() {
    let file = series(&folder("course"));
    let (page, snapshots) = (page(&[&file]), snapshots(&file));
    let lines = snapshots[0]["balance"].as_object().unwrap().keys();
    let used = lines.filter(|line| snapshots.iter().any(|snapshot| number(&snapshot["balance"], line) > 0));
    let mut used: Vec<_> = used.map(|line| format!("area c-{line}")).collect();
    let mut drawn: Vec<_> = all(&page, "path.area").iter().map(|area| area.attr("class").unwrap().to_owned()).collect();
    used.sort();
    drawn.sort();
    assert_eq!(drawn, used);
    assert_eq!(all(&page, "path.resident").len(), 1);
    for path in all(&page, "path") {
        let numbers = path.attr("d").unwrap().split(|c: char| "MLZ ".contains(c)).filter(|text| !text.is_empty());
        assert!(numbers.map(|text| text.parse::<f64>().unwrap()).all(|number| (0.0..=960.0).contains(&number)));
    }

    let course = all(&page, "svg.chart")[0];
    let spots: Vec<_> = course.select(&Selector::parse("rect.spot title").unwrap()).map(text).collect();
    assert_eq!(spots.len(), snapshots.len());
    for (spot, snapshot) in spots.iter().zip(&snapshots) {
        let committed = spot.lines().find(|line| line.starts_with("committed: ")).unwrap();
        let exact = committed.split(['(', ' ']).filter(|word| word.contains(',')).map(plain).next_back();
        assert_eq!(exact, Some(number(snapshot, "committed")), "{spot}");
    }
    // Those who cannot see the pictures are told what is in them.
    assert!(
        all(&page, "svg")
            .iter()
            .all(|svg| svg.attr("role") == Some("img") && !svg.attr("aria-label").unwrap().is_empty())
    );
}

#[test]
fn each_class_with_slabs_has_a_bar() {
    let file = series(&folder("classes"));
    let (page, snapshots) = (page(&[&file]), snapshots(&file));
    let classes = snapshots.last().unwrap()["classes"].as_array().unwrap();
    let titles = texts(&page, "svg.chart title");
    for class in classes.iter().filter(|class| number(class, "slabs") > 0) {
        let (size, live) = (number(class, "block_size"), number(class, "live"));
        let title = titles
            .iter()
            .rfind(|title| title.replace(',', "").starts_with(&format!("blocks of {size} bytes")))
            .expect("a bar");
        let parts = title.replace(',', "");
        assert!(parts.contains(&format!("({} bytes)", size * live)), "{title}");
    }
}

#[test]
fn processes_are_told_apart_in_one_file_and_in_several() {
    let folder = folder("processes");
    let run = |file: &Path| {
        let run = Run::on_tenure(&compile("grows.c", &[])).arg("30");
        run.env("TENURE_STATS", "json").env("TENURE_STATS_FILE", file).succeeds();
    };
    let (one, two) = (folder.join("one.json"), folder.join("two.json"));
    run(&one);
    run(&one);
    run(&two);
    let page = page(&[&one, &two]);
    assert_eq!(texts(&page, "h1"), ["Memory of 3 processes"]);
    let mut ids: Vec<_> =
        [&one, &two].iter().flat_map(|file| snapshots(file)).map(|value| number(&value, "process_id")).collect();
    let mut found: Vec<_> =
        texts(&page, "details.process h2").iter().map(|head| plain(&head["Process ".len()..])).collect();
    ids.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, ids);
    assert_eq!(all(&page, "a").len(), 3);
}

#[test]
fn one_snapshot_on_several_lines_is_a_page_without_a_course() {
    let folder = folder("single");
    let first = &snapshots(&series(&folder))[0];
    let file = folder.join("single.json");
    fs::write(&file, serde_json::to_string_pretty(first).unwrap()).unwrap();
    let page = page(&[&file]);
    assert!(all(&page, "path.area").is_empty());
    assert_eq!(all(&page, "svg.bar").len(), 1);
}

#[test]
fn tags_have_a_table_with_a_row_for_what_is_under_none() {
    let folder = folder("tags");
    let mut first = snapshots(&series(&folder))[0].clone();
    let without = page(&[&folder.join("plain.json")].map(|file| {
        fs::write(file, first.to_string()).unwrap();
        file.as_path()
    }));
    assert!(all(&without, ".tags").is_empty());
    let (live, blocks) = (number(&first, "live_bytes"), number(&first, "live_blocks"));
    let bytes = live / 2;
    first["tags"] = serde_json::json!([{ "name": "<b>cache</b>", "blocks": 3, "bytes": bytes }]);
    let file = folder.join("tags.json");
    fs::write(&file, first.to_string()).unwrap();
    let page = page(&[&file]);
    let rows: Vec<_> = texts(&page, ".tags tbody th").into_iter().collect();
    assert_eq!(rows, ["<b>cache</b>", "none"]);
    let cells: Vec<_> =
        texts(&page, ".tags tbody td").iter().filter(|text| !text.contains(' ')).map(|text| plain(text)).collect();
    assert_eq!(cells, [bytes, 3, live - bytes, blocks - 3]);
}

#[test]
fn what_files_say_is_text_and_nothing_else() {
    let folder = folder("escaped");
    let mut first = snapshots(&series(&folder))[0].clone();
    first["balance"]["<script>alert(1)</script>"] = Value::from(4096);
    let file = folder.join("series.json");
    fs::write(&file, first.to_string()).unwrap();
    let folded = folder.join("<img src=x>.folded");
    fs::write(&folded, "main;operator<<<int>;\"&amp;</title><script>f</script> 4096\n").unwrap();
    let page = page(&[&file, &folded]);
    assert!(texts(&page, ".balance th").contains(&"<script>alert(1)</script>".to_owned()));

    let frame = all(&page, "iframe")[0];
    assert_eq!(frame.attr("sandbox"), Some("allow-scripts"));
    let graph = Html::parse_document(frame.attr("srcdoc").unwrap());
    // The picture's own, which makes functions wider when they are clicked.
    assert_eq!(all(&graph, "script").len(), 1);
    let titles = texts(&graph, "title");
    assert!(titles.iter().any(|title| title.contains("operator<<<int> (4,096 bytes, 100.00%)")), "{titles:?}");
    assert!(titles.iter().any(|title| title.contains("<script>f</script>")), "{titles:?}");
}

#[test]
fn a_flame_graph_is_shown_as_it_is() {
    let folder = folder("flame");
    let picture = folder.join("profile.svg");
    let svg = "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"200\"><rect id=\"r\"/></svg>";
    fs::write(&picture, svg).unwrap();
    let page = page(&[&series(&folder), &picture]);
    let frame = all(&page, "iframe")[0];
    assert!(frame.attr("srcdoc").unwrap().contains(svg));
    assert_eq!(frame.attr("style"), Some("height:200px"));
}

#[test]
fn the_page_goes_to_a_file_whole_and_a_line_says_what_is_in_it() {
    let folder = folder("file");
    let file = series(&folder);
    let target = folder.join("page.html");
    fs::write(&target, "what was there").unwrap();
    let output = report([file.as_os_str(), "-o".as_ref(), target.as_os_str()]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("{}: 1 process, {} snapshots\n", target.display(), snapshots(&file).len()));
    assert!(fs::read_to_string(&target).unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn a_link_stays_and_the_file_to_which_it_leads_is_the_page() {
    let folder = folder("link");
    let (file, link) = (folder.join("there.html"), folder.join("link.html"));
    fs::write(&file, "earlier").unwrap();
    symlink("there.html", &link).unwrap();
    let arguments = [series(&folder).as_os_str(), "-o".as_ref(), link.as_os_str()].map(OsStr::to_owned);
    assert!(report(arguments).status.success());
    assert!(link.is_symlink());
    assert!(fs::read_to_string(&file).unwrap().starts_with("<!DOCTYPE html>"));
}

/// Asserts that no page comes of the files, and that one line says why.
fn assert_refused(arguments: &[&OsStr], status: i32, parts: &[&str]) {
    support::assert_refused(&report(arguments), status, parts);
}

#[test]
fn what_is_no_statistics_is_refused_with_its_file_and_line() {
    let folder = folder("refused");
    let good = fs::read_to_string(series(&folder)).unwrap();
    let good = good.lines().next().unwrap();
    let refused = |name: &str, contents: &str, parts: &[&str]| {
        let file = folder.join(name);
        fs::write(&file, contents).unwrap();
        assert_refused(&[file.as_os_str(), "-o".as_ref(), "-".as_ref()], 1, &[&[name][..], parts].concat());
    };
    refused("words.json", &format!("{good}\nthis is nothing\n"), &["words.json:2: "]);
    refused("cut.json", &format!("{good}\n{}", &good[..200]), &["cut.json:2: ", "cut short"]);
    refused("later.json", &good.replace("\"version\":1", "\"version\":9"), &["later.json:1: ", "version 9"]);
    refused(
        "less.json",
        &format!("\n\n{}", good.replace("\"classes\"", "\"klasses\"")),
        &["less.json:3: ", "`classes`"],
    );
    refused("bytes.json", "{\"version\":1,\"committed\":-1}", &["bytes.json:1: "]);
    refused("empty.json", "\n", &["no snapshot"]);
    refused("stacks.folded", "main;f 3\nmain;g\n", &["stacks.folded:2: "]);
    refused("nothing.folded", "", &["no stacks"]);
    refused("picture.svg", "<svg>\n<g></svg>", &["picture.svg:2: "]);
    refused("page.svg", "<html></html>", &["page.svg:1: ", "`html`"]);
}

#[test]
fn a_profile_alone_is_a_page() {
    let folder = folder("alone");
    let (profile, target) = (folder.join("alone.folded"), folder.join("page.html"));
    fs::write(&profile, "\u{feff}main;f 3\n").unwrap();
    let page = page(&[&profile]);
    assert_eq!(texts(&page, "h1"), ["Heap profile"]);
    let frame = all(&page, "iframe")[0].attr("srcdoc").unwrap();
    assert!(frame.contains("main (3 bytes") && !frame.contains('\u{feff}'), "the mark is no part of a name");
    let output = report([profile.as_os_str(), "-o".as_ref(), target.as_os_str()]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}: 1 profile\n", target.display()));
}

#[test]
fn a_file_that_is_given_twice_counts_once_under_whatever_name() {
    let folder = folder("twice");
    let (file, link) = (series(&folder), folder.join("link.json"));
    symlink(&file, &link).unwrap();
    let profile = folder.join("profile.folded");
    fs::write(&profile, "main 3\n").unwrap();
    let page = page(&[&file, &link, &file, &profile, &profile]);
    assert!(texts(&page, "h1")[0].starts_with("Memory of process "));
    assert_eq!(all(&page, "iframe").len(), 1);
}

#[test]
fn a_byte_order_mark_before_statistics_is_passed_over() {
    let file = series(&folder("mark"));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("\u{feff}{text}")).unwrap();
    assert_eq!(texts(&page(&[&file]), "h1").len(), 1);
}

#[test]
fn a_page_is_not_put_in_the_place_of_what_it_is_made_of() {
    let folder = folder("of-itself");
    let file = series(&folder);
    let before = fs::read(&file).unwrap();
    let link = folder.join("link.json");
    symlink("series.json", &link).unwrap();
    for output in [&file, &link] {
        let parts = &[output.to_str().unwrap(), "is one of the files that the page is made of"];
        assert_refused(&[file.as_os_str(), "-o".as_ref(), output.as_os_str()], 1, parts);
    }
    assert!(fs::read(&file).unwrap() == before && link.is_symlink());
}

#[test]
fn a_reader_of_the_page_that_goes_away_is_no_news() {
    let file = series(&folder("reader"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    let output = command.arg("report").arg(&file).args(["-o", "-"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), ""));
}

#[test]
fn files_that_cannot_be_read_or_written_are_named() {
    let folder = folder("unreadable");
    let file = series(&folder);
    let missing = folder.join("missing.json");
    assert_refused(&[file.as_os_str(), missing.as_os_str()], 1, &["missing.json: cannot be read"]);
    assert_refused(&[folder.as_os_str()], 1, &["cannot be read"]);
    let nowhere = folder.join("no/such/folder/page.html");
    assert_refused(&[file.as_os_str(), "-o".as_ref(), nowhere.as_os_str()], 1, &["page.html: cannot be written"]);
    assert_refused(&[file.as_os_str(), "-o".as_ref(), "/dev/full".as_ref()], 1, &["/dev/full: cannot be written"]);
    assert_refused(&[], 2, &["STATS.json", "tenure report --help"]);
    assert_refused(&["--bogus".as_ref()], 2, &["--bogus"]);
}
