//! Web pages from templates that inherit and include each other.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

pub const WORKLOAD: Workload = Workload {
    name: "template-pages",
    about: "renders a shop's pages of 20 KiB from inherited templates with macros and filters (minijinja)",
    threads: Threads::One,
    run,
};

const PAGES: usize = 3000;

const LAYOUT: &str = r#"<!doctype html>
<title>{% block title %}{% endblock %} - {{ shop.name|title }}</title>
<nav>{% for entry in shop.menu %}<a href="/{{ entry|lower }}">{{ entry }}</a>{% if not loop.last %} | {% endif %}{% endfor %}</nav>
<main>{% block main %}{% endblock %}</main>
<footer>{{ shop.menu|join(", ") }}</footer>
"#;

const PAGE: &str = r#"{% extends "layout" %}
{% macro price(cents) %}{{ cents // 100 }}.{% if cents % 100 < 10 %}0{% endif %}{{ cents % 100 }} EUR{% endmacro %}
{% block title %}{{ title|upper }}{% endblock %}
{% block main %}
<h1>{{ title }}</h1>
{% for article in articles if article.cents > 500 %}
<article id="{{ loop.index }}" class="{{ loop.cycle('odd', 'even') }}">
  <h2>{{ article.name|title }}{% if article.tags|length > 2 %} *{% endif %}</h2>
  <p>{{ article.text|replace("a", "&auml;") }}</p>
  <ul>{% for tag in article.tags|sort %}<li>{{ tag|capitalize }}</li>{% else %}<li>-</li>{% endfor %}</ul>
  <b>{{ price(article.cents) }}</b>{% set rest = article.stock - 3 %}{% if rest < 0 %}<i>{{ rest|abs }} missing</i>{% endif %}
</article>
{% endfor %}
<p>{{ articles|map(attribute="stock")|sum }} pieces of {{ articles|length }} articles</p>
{% endblock %}
"#;

#[derive(Serialize)]
struct Shop {
    name: String,
    menu: Vec<String>,
}

#[derive(Serialize)]
struct Article {
    name: String,
    text: String,
    tags: Vec<String>,
    cents: u32,
    stock: i32,
}

#[derive(Serialize)]
struct Page<'s> {
    shop: &'s Shop,
    title: String,
    articles: Vec<Article>,
}

fn run(scale: &Scale) -> u64 {
    let words = Words::new(25, 3000);
    let mut random = Rng::with_seed(26);
    let mut environment = Environment::new();
    environment.add_template("layout", LAYOUT).expect("the layout is well-formed");
    environment.add_template("page", PAGE).expect("the page is well-formed");
    let menu = (0..8).map(|_| words.text(&mut random, 1)).collect();
    let shop = Shop { name: words.text(&mut random, 2), menu };
    let mut checksum = Checksum::new();
    for _ in 0..scale.of(PAGES) {
        let page = Page {
            shop: &shop,
            title: words.text(&mut random, 3),
            articles: (0..50).map(|_| article(&words, &mut random)).collect(),
        };
        let template = environment.get_template("page").expect("the page is known");
        checksum.add(template.render(Serde(&page)).expect("the page has all that the template asks for"));
    }
    checksum.value()
}

fn article(words: &Words, random: &mut Rng) -> Article {
    Article {
        name: words.text(random, 2),
        text: words.text(random, 25),
        tags: (0..random.usize(..5)).map(|_| words.pick(random).to_owned()).collect(),
        cents: random.u32(..10_000),
        stock: random.i32(0..20),
    }
}
