//! A table, for a terminal, for a Markdown file, or (in `report`) for a page.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, ContentArrangement, TableStyle};

/// Why a cell stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stress {
    #[default]
    None,
    /// The best of its row or column, or a target that is met.
    Good,
    /// A failure, or a target that is missed.
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    pub text: String,
    pub stress: Stress,
}

impl Cell {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), stress: Stress::None }
    }

    pub fn stressed(text: impl Into<String>, stress: Stress) -> Self {
        Self { text: text.into(), stress }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub title: String,
    pub note: String,
    pub head: Vec<(String, Align)>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// For a terminal: good cells have a star, since not every terminal has colours.
    pub fn terminal(&self) -> String {
        let mut table = self.laid_out(NOTHING, |cell| match cell.stress {
            Stress::Good if !cell.text.ends_with("met") => format!("*{}", cell.text),
            _ => cell.text.clone(),
        });
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        format!("{}\n{}\n\n{}\n", self.title, self.note, table.trim_fmt())
    }

    /// For a Markdown file, without the title.
    pub fn markdown(&self) -> String {
        let table = self.laid_out(ASCII_MARKDOWN, |cell| {
            let text = cell.text.replace('\\', "\\\\").replace('|', "\\|");
            match cell.stress {
                Stress::None => text,
                Stress::Good | Stress::Bad => format!("**{text}**"),
            }
        });
        format!("{table}\n")
    }

    fn laid_out(&self, style: TableStyle, show: impl Fn(&Cell) -> String) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.head.iter().map(|(name, _)| name));
        for row in &self.rows {
            table.add_row(row.iter().map(&show));
        }
        for (column, (_, align)) in table.column_iter_mut().zip(&self.head) {
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            title: "T".into(),
            note: "n".into(),
            head: vec![("name".into(), Align::Left), ("ratio".into(), Align::Right)],
            rows: vec![vec![Cell::new("a | b"), Cell::stressed("1.00", Stress::Good)]],
        }
    }

    #[test]
    fn markdown_marks_the_best_and_keeps_columns_apart() {
        let text = table().markdown();
        assert!(text.contains("| a \\| b |"), "{text}");
        assert!(text.contains("**1.00** |"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_terminal_has_a_star_at_the_best() {
        let text = table().terminal();
        assert!(text.contains("*1.00") && text.contains("a | b"), "{text}");
    }
}
