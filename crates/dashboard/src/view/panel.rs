//! A titled list of lines, and what stands in them.

use jiff::Timestamp;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph, Widget},
};

/// What somebody has to look at.
pub(super) const ALARM: Style = Style::new().red().add_modifier(Modifier::BOLD);

/// A title above lines. If there are more lines than fit, the last one says how many.
#[derive(Debug)]
pub(super) struct Panel<'a> {
    title: String,
    lines: Vec<Line<'a>>,
}

impl<'a> Panel<'a> {
    pub(super) fn new(title: impl Into<String>, lines: Vec<Line<'a>>) -> Self {
        Self { title: title.into(), lines }
    }

    /// All of it as text, whatever its size.
    pub(super) fn text(&self) -> String {
        let lines = self.lines.iter().map(Line::to_string);
        let lines: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
        format!("{}\n{}\n{lines}", self.title, "─".repeat(self.title.chars().count()))
    }
}

impl Widget for Panel<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let inner = render_title(&self.title, area, buffer);
        let (height, width) = (usize::from(inner.height), usize::from(inner.width));
        let mut lines = self.lines;
        if lines.len() > height {
            let hidden = lines.len() - height.saturating_sub(1);
            lines.truncate(height.saturating_sub(1));
            lines.push(Line::from(format!("… {hidden} more")).dim());
        }
        let lines: Vec<_> = lines.into_iter().map(|line| shortened_line(line, width)).collect();
        Paragraph::new(lines).render(inner, buffer);
    }
}

/// Draws a title with a line behind it, and returns what is left of the area.
pub(super) fn render_title(title: &str, area: Rect, buffer: &mut Buffer) -> Rect {
    let width = usize::from(area.width).saturating_sub(2);
    let title = Span::from(format!("{} ", shortened(title, width))).bold();
    let block = Block::new().borders(Borders::TOP).border_style(Style::new().dim()).title(title);
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

/// The widest that a row becomes, so that its cells stay near its name.
const WIDEST: u16 = 56;

/// A row of a list: a name, and right-aligned cells in columns of these widths. Where there is room
/// for all of a long name, its cells stand further to the right.
pub(super) fn row(width: u16, name: &str, cells: &[(String, usize)]) -> String {
    let taken: usize = cells.iter().map(|(_, width)| width).sum();
    let room = usize::from(width).saturating_sub(taken);
    let name = shortened(name, room.saturating_sub(1));
    let name_width = Span::raw(&*name).width();
    let left = usize::from(WIDEST).saturating_sub(taken).max(name_width + 1).min(room);
    let padding = left.saturating_sub(name_width);
    let cells: String = cells.iter().map(|(cell, width)| format!("{cell:>width$}")).collect();
    format!("{name}{}{cells}", " ".repeat(padding))
}

/// A row with one number.
pub(super) fn count(width: u16, name: &str, count: impl ToString) -> String {
    row(width, name, &[(count.to_string(), 8)])
}

/// The text, or as much of it as fits with `…` behind it.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        let longer = format!("{short}{character}");
        if Span::raw(&*longer).width() + 1 > width {
            break;
        }
        short = longer;
    }
    if width > 0 {
        short.push('…');
    }
    short
}

fn shortened_line(line: Line<'_>, width: usize) -> Line<'_> {
    let mut left = width;
    let spans = line.spans.into_iter().map(|span| {
        let content = shortened(&span.content, left);
        left -= Span::raw(&*content).width();
        Span::styled(content, span.style)
    });
    let spans: Vec<_> = spans.collect();
    Line { spans, ..line }
}

/// A time to the minute, in UTC.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%H:%MZ").to_string()
}

/// A time to the second, in UTC.
pub(super) fn second(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}
