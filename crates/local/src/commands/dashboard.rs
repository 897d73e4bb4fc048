//! The figures of a stack, live in the terminal.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use dashboard::{Dashboard, Page, View};
use futures::StreamExt;
use jiff::Timestamp;
use local::{Error, Stack};
use ratatui::{
    DefaultTerminal, Frame,
    layout::{Constraint, Layout},
    style::Stylize,
    text::Line,
};
use stack::{Deployment, Logs};
use tokio::time::MissedTickBehavior;

use crate::output;

/// How often the figures are read.
const REFRESH: Duration = Duration::from_secs(1);

pub(super) async fn run(stack: &Stack, once: bool) -> Result<(), Error> {
    let mut figures = Figures::of(stack).await?;
    figures.update().await?;
    if once || !io::stdout().is_terminal() {
        return print(&figures.dashboard);
    }
    let mut screen = Screen::enter()?;
    show(&mut screen, &mut figures).await
}

fn print(dashboard: &Dashboard) -> Result<(), Error> {
    for page in Page::ALL {
        output::line(View { dashboard, page }.text())?;
    }
    Ok(())
}

/// Shows one page at a time until it is told to end.
async fn show(screen: &mut Screen, figures: &mut Figures<'_>) -> Result<(), Error> {
    let mut page = Page::Business;
    let mut input = EventStream::new();
    let mut refresh = tokio::time::interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let draw = |frame: &mut Frame<'_>| draw(&figures.dashboard, page, frame);
        screen.0.draw(draw).map_err(terminal)?;
        tokio::select! {
            _ = refresh.tick() => figures.update().await?,
            event = input.next() => match event.transpose().map_err(terminal)?.map(wish) {
                Some(Wish::Nothing) => {}
                Some(Wish::OtherPage) => page = page.next(),
                // Without input, nothing could end it later.
                Some(Wish::End) | None => return Ok(()),
            },
        }
    }
}

fn draw(dashboard: &Dashboard, page: Page, frame: &mut Frame<'_>) {
    let rows = [Constraint::Fill(1), Constraint::Length(1)];
    let [view, keys] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(View { dashboard, page }, view);
    frame.render_widget(Line::from("tab: other page   q: end").dim(), keys);
}

/// What somebody at the keyboard wants.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    OtherPage,
    End,
}

fn wish(event: Event) -> Wish {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
        // After a change of its size, the next frame has the new one.
        return Wish::Nothing;
    };
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Wish::End,
        KeyCode::Char('q') | KeyCode::Esc => Wish::End,
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => Wish::OtherPage,
        _ => Wish::Nothing,
    }
}

/// The dashboard of a stack, and where its figures come from.
struct Figures<'a> {
    stack: &'a Stack,
    deployment: Deployment,
    logs: Logs,
    dashboard: Dashboard,
}

impl<'a> Figures<'a> {
    async fn of(stack: &'a Stack) -> Result<Self, Error> {
        let deployment = Deployment::embedded(stack.state_dir()).await?;
        let logs = deployment.logs();
        let dashboard = Dashboard::new(&stack.embedded.stack_name, Timestamp::now());
        Ok(Self { stack, deployment, logs, dashboard })
    }

    async fn update(&mut self) -> Result<(), Error> {
        for line in self.logs.written().await? {
            self.dashboard.add(&line);
        }
        let depths = self.stack.queues().await?;
        for (id, url) in self.deployment.resources("AWS::SQS::Queue") {
            self.dashboard.measure(id, depths.get(url).copied().unwrap_or_default());
        }
        self.dashboard.disable(self.stack.disabled_mappings(&self.deployment).await?);
        self.dashboard.advance_to(Timestamp::now());
        Ok(())
    }
}

/// The terminal while it shows a dashboard. Dropping it brings back what it showed before, as does
/// a panic.
struct Screen(DefaultTerminal);

impl Screen {
    fn enter() -> Result<Self, Error> {
        ratatui::try_init().map(Self).map_err(terminal)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn terminal(source: io::Error) -> Error {
    Error::Io { doing: "using the terminal".to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Wish {
        wish(Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn q_and_ctrl_c_end_it_and_tab_shows_the_other_page() {
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Wish::End);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Wish::End);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), Wish::Nothing);
        assert_eq!(key(KeyCode::Tab, KeyModifiers::NONE), Wish::OtherPage);
        assert_eq!(wish(Event::Resize(80, 24)), Wish::Nothing);
    }
}
