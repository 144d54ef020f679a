//! Tables for people: aligned columns without borders, whether on a terminal or in a pipe.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, Table, Width};

use super::terminal::visible;

/// Longest cell in characters. Longer ones are the work of a broken or hostile sender and would only pad every other row.
const MAX_CELL: usize = 500;
/// Columns that the last column is given before others are shown beside it: the beginning of most titles.
const WISHED_LAST: u16 = 24;
/// Columns that the last column keeps when all others that may go have gone; a line then wraps.
const MIN_LAST: u16 = 16;

/// Blanks between two columns.
const GAP: u16 = 2;

/// Renders rows under a header. In a pipe (no `width`) nothing is cut; on a terminal the columns `may_go` are left out, in that
/// order, until the others fit, and the last column is cut to what remains.
///
/// The text may be a stranger's: it is escaped here.
pub(super) fn render<const N: usize>(header: [&str; N], rows: &[[String; N]], width: Option<u16>, may_go: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).force_no_tty().set_header(header.map(str::to_uppercase));
    for row in rows {
        let mut row = Row::from(row.iter().map(|text| Cell::new(shortened(&visible(text)))).collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 == N { 0 } else { GAP }));
    }
    if let Some(width) = width {
        fit(&mut table, width, may_go);
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn fit(table: &mut Table, width: u16, may_go: &[usize]) {
    let mut widths = table.column_max_content_widths();
    let Some(last) = widths.pop() else { return };
    let mut needed = widths.iter().map(|width| width.saturating_add(GAP)).fold(last.min(WISHED_LAST), u16::saturating_add);
    let mut constraints = vec![ColumnConstraint::ContentWidth; widths.len()];
    for &index in may_go.iter().filter(|&&index| index < widths.len()) {
        if needed <= width {
            break;
        }
        needed -= widths[index].saturating_add(GAP).min(needed);
        constraints[index] = ColumnConstraint::Hidden;
    }
    constraints.push(ColumnConstraint::LowerBoundary(Width::Fixed(MIN_LAST.min(last))));
    table.set_constraints(constraints);
    if let Some(column) = table.column_mut(widths.len()) {
        // Cut inside a word too: comfy-table cuts at blanks, and a name may have none.
        column.set_delimiter('\0');
    }
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Vec<[String; 3]> {
        names.iter().enumerate().map(|(index, name)| [format!("row {index}"), "x".repeat(index + 1), (*name).to_owned()]).collect()
    }

    #[test]
    fn piped_columns_are_aligned_and_whole() {
        let long = "n".repeat(300);
        let text = render(["first", "second", "name"], &rows(&["Phishing", &long]), None, &[]);
        assert_eq!(text, format!("FIRST  SECOND  NAME\nrow 0  x       Phishing\nrow 1  xx      {long}\n"));
    }

    #[test]
    fn wide_characters_take_their_columns() {
        let rows = [["漢字".to_owned(), "a".to_owned()], ["abcd".to_owned(), "b".to_owned()]];
        assert_eq!(render(["k", "v"], &rows, None, &[]), "K     V\n漢字  a\nabcd  b\n");
    }

    #[test]
    fn the_last_column_gives_way_on_a_terminal() {
        let text = render(["first", "second", "name"], &rows(&["a name that is far too long for it", "short"]), Some(40), &[]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, ["FIRST  SECOND  NAME", "row 0  x       a name that is far too l…", "row 1  xx      short"]);
    }

    #[test]
    fn a_narrow_terminal_keeps_the_other_columns() {
        let text = render(["first", "second", "name"], &rows(&["abcdefghijklmnopqrstuvwxyz"]), Some(10), &[]);
        assert!(text.contains("row 0  x       abcdefghijklmno…\n"), "{text}");
    }

    #[test]
    fn columns_that_may_go_do_so_one_by_one() {
        let rows = rows(&["a long enough name"]);
        let header = |width| render(["first", "second", "name"], &rows, Some(width), &[1, 0]).lines().next().unwrap().to_owned();
        assert_eq!(header(33), "FIRST  SECOND  NAME");
        assert_eq!(header(32), "FIRST  NAME");
        assert_eq!(header(25), "FIRST  NAME");
        assert_eq!(header(24), "NAME");
    }

    #[test]
    fn strangers_do_not_drive_the_terminal() {
        let text = render(["name"], &[["a\u{1b}[2J\nb".to_owned()]], None, &[]);
        assert_eq!(text, "NAME\na\\u{1b}[2J\\nb\n");
    }

    #[test]
    fn a_huge_cell_is_cut_everywhere() {
        let text = render(["name"], &[["é".repeat(100_000)]], None, &[]);
        assert_eq!(text, format!("NAME\n{}…\n", "é".repeat(MAX_CELL)));
    }

    #[test]
    fn no_rows_leave_the_header() {
        assert_eq!(render(["a", "b"], &[], Some(80), &[]), "A  B\n");
    }
}
