//! The look of a dashboard: two pages of panels, for dark and light terminals of any size.
//!
//! Only bold, dim and the colors that a terminal's own palette has; nothing is said by color alone.

mod alarms;
mod business;
mod panel;
mod system;

use jiff::Timestamp;
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Style, Stylize},
    text::{Line, Span},
    widgets::Widget,
};

use self::panel::ALARM;
use crate::dashboard::Dashboard;

/// A page of a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// How the business does.
    Business,
    /// How the system does.
    System,
}

impl Page {
    /// All pages, in their order.
    pub const ALL: [Self; 2] = [Self::Business, Self::System];

    /// The page after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Business => Self::System,
            Self::System => Self::Business,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Business => "business",
            Self::System => "system",
        }
    }
}

/// A page of a dashboard, as it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub dashboard: &'a Dashboard,
    pub page: Page,
}

impl Widget for View<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let [head, body] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        self.render_head(head, buffer);
        match self.page {
            Page::Business => business::render(self.dashboard, body, buffer),
            Page::System => system::render(self.dashboard, body, buffer),
        }
    }
}

impl View<'_> {
    /// The page as text, one panel below the other, with all that there is to say.
    #[must_use]
    pub fn text(self) -> String {
        let panels = match self.page {
            Page::Business => business::panels(self.dashboard),
            Page::System => system::panels(self.dashboard),
        };
        let Dashboard { stack, now, alarms, .. } = self.dashboard;
        let (ringing, time) = (rings(alarms.ringing().len()), second(*now));
        let head = format!("{stack}: {}, {ringing}, {time}\n", self.page.name());
        let panels = panels.iter().map(|panel| format!("\n{}", panel.text()));
        panels.fold(head, |text, panel| text + &panel)
    }

    /// The stack, the pages, the number of alarms that ring, and the time.
    fn render_head(self, area: Rect, buffer: &mut Buffer) {
        let Dashboard { stack, now, alarms, .. } = self.dashboard;
        let mut left = vec![Span::from(format!("{stack}  ")).bold()];
        left.extend(Page::ALL.map(|page| {
            let name = page.name();
            if page == self.page {
                Span::from(format!("[{name}] ")).bold()
            } else {
                Span::from(format!(" {name}  ")).dim()
            }
        }));
        let count = alarms.ringing().len();
        let (ringing, style) = (rings(count), if count > 0 { ALARM } else { Style::new() });
        let time = format!("  {}", second(*now));
        Line::from(left).render(area, buffer);
        let right = vec![Span::styled(ringing, style), Span::from(time)];
        Line::from(right).right_aligned().render(area, buffer);
    }
}

/// The number of alarms that ring, in words.
fn rings(count: usize) -> String {
    match count {
        0 => "no alarm".to_owned(),
        1 => "1 ALARM".to_owned(),
        count => format!("{count} ALARMS"),
    }
}

/// A time to the second, in UTC, with its date.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
