//! The table of the ranks that train together: how the time of a step divides into computing and
//! exchanging on each of them, in the last epoch.
//!
//! Ranks wait for each other in every step, so the slowest rank is the one that computes longest.

use super::draw::{bar, shorten, styled};
use super::state::State;
use super::style::Palette;
use crate::cli::terminal::bytes;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

/// Gap between two columns.
const GAP: u16 = 3;
/// Minimum and maximum width of a device's name.
const DEVICE: [u16; 2] = [6, 32];
/// Minimum and maximum width of a bar.
const BAR: [u16; 2] = [12, 40];
/// Rows of a terminal below which the ranks are only summed up, in favour of the charts.
const ROOMY: u16 = 30;

/// A rank's means per step in an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RankTimes {
    /// Seconds in which it has computed.
    pub(super) computing: f64,
    /// Seconds in which it has sent and received, or waited for other ranks.
    pub(super) exchanging: f64,
    /// Bytes sent to other ranks.
    pub(super) sent: u64,
}

impl RankTimes {
    /// Returns the share of its time in which it exchanges.
    fn share(&self) -> f64 {
        self.exchanging / (self.computing + self.exchanging)
    }
}

/// Returns the number of rows of the table, with its heading, on a terminal with `screen` rows.
pub(super) fn height(state: &State, screen: u16) -> u16 {
    let ranks = state.about.ranks.len();
    if ranks < 2 || screen < ROOMY { 0 } else { (ranks + 1).min(usize::from(screen) / 6) as u16 }
}

/// Returns the number of rows that the table takes from others, with the blank one before it.
pub(super) fn room(state: &State, screen: u16) -> u16 {
    height(state, screen) + u16::from(height(state, screen) > 0)
}

/// Returns the rank that computes longest, and by what share it computes longer than the median of the others, if
/// that is more than noise.
fn slowest(times: &[RankTimes]) -> Option<(usize, f64)> {
    let mut order: Vec<_> = (0..times.len()).collect();
    order.sort_by(|&a, &b| times[b].computing.total_cmp(&times[a].computing));
    let (first, others) = order.split_first()?;
    let median = times[*others.get(others.len() / 2)?].computing;
    let more = times[*first].computing / median - 1.0;
    (more >= 0.01).then_some((*first, more))
}

/// By how much longer the slowest rank computes, such as "+34%".
fn excess(more: f64) -> String {
    format!("+{:.0}%", (100.0 * more).min(999.0))
}

/// Whether the others wait for the slowest rank noticeably.
fn delays(more: f64) -> bool {
    more >= 0.1
}

/// Returns the least and the largest of some numbers.
fn range(numbers: impl Iterator<Item = f64>) -> [f64; 2] {
    numbers.fold([f64::INFINITY, 0.0], |[least, most], number| [least.min(number), most.max(number)])
}

fn shares(times: impl Iterator<Item = RankTimes>) -> String {
    let [least, most] = range(times.map(|times| 100.0 * times.share())).map(f64::round);
    if least == most { format!("{most:.0}%") } else { format!("{least:.0} to {most:.0}%") }
}

/// Returns the numbers to show if there is no table.
pub(super) fn facts(state: &State, palette: &Palette) -> Vec<Vec<Span<'static>>> {
    if state.about.ranks.len() < 2 {
        return Vec::new();
    }
    let part = |name: &str, value: String, style: Style| {
        vec![Span::styled(format!("{name} "), palette.faint), Span::styled(value, style)]
    };
    let mut facts = vec![part("ranks", state.about.ranks.len().to_string(), Style::new())];
    facts.extend(
        slowest(&state.ranks)
            .filter(|(_, more)| delays(*more))
            .map(|(rank, more)| part("slowest rank", format!("{rank}, {}", excess(more)), palette.warning)),
    );
    if !state.ranks.is_empty() {
        facts.push(part("exchanging", shares(state.ranks.iter().copied()), Style::new()));
    }
    facts
}

/// The unit of all times of a table.
#[derive(Clone, Copy)]
struct Unit {
    name: &'static str,
    seconds: f64,
    digits: usize,
}

impl Unit {
    fn of(times: &[RankTimes]) -> Self {
        let [_, most] = range(times.iter().flat_map(|times| [times.computing, times.exchanging]));
        match most {
            _ if most < 1e-3 => Self { name: "µs", seconds: 1e-6, digits: 0 },
            _ if most < 1.0 => Self { name: "ms", seconds: 1e-3, digits: 1 },
            _ => Self { name: "s", seconds: 1.0, digits: 2 },
        }
    }

    fn number(self, seconds: f64) -> String {
        format!("{:.*}", self.digits, seconds / self.seconds)
    }

    fn text(self, seconds: f64) -> String {
        format!("{} {}", self.number(seconds), self.name)
    }
}

/// The kinds of columns.
#[derive(Clone, Copy, PartialEq)]
enum Column {
    Rank,
    Device,
    Computing,
    Exchanging,
    Bar,
    Sent,
    Mark,
}

impl Column {
    /// From left to right.
    const ALL: [Self; 7] =
        [Self::Rank, Self::Device, Self::Computing, Self::Exchanging, Self::Bar, Self::Sent, Self::Mark];
    /// The most important first.
    const WANTED: [Self; 7] =
        [Self::Rank, Self::Computing, Self::Exchanging, Self::Device, Self::Mark, Self::Sent, Self::Bar];

    fn head(self) -> &'static str {
        match self {
            Self::Rank => "rank",
            Self::Device => "device",
            Self::Computing => "computing",
            Self::Exchanging => "exchanging",
            Self::Bar => "of a step",
            Self::Sent => "sent",
            Self::Mark => "",
        }
    }

    /// The least width.
    fn width(self) -> u16 {
        match self {
            Self::Rank => 4,
            Self::Device => DEVICE[0],
            Self::Computing => 9,
            Self::Exchanging => 15,
            Self::Bar => BAR[0],
            Self::Sent => 10,
            Self::Mark => 13,
        }
    }
}

/// What all cells of a table share.
struct Table<'a> {
    state: &'a State,
    palette: &'a Palette,
    unit: Unit,
    slowest: Option<(usize, f64)>,
}

/// Chooses the columns that fit, and their widths.
fn columns(state: &State, has_slowest: bool, width: u16) -> Vec<(Column, u16)> {
    let mut free = width;
    let mut chosen = Vec::new();
    for column in Column::WANTED {
        let needed = column.width() + if chosen.is_empty() { 0 } else { GAP };
        if needed > free || (column == Column::Mark && !has_slowest) {
            continue;
        }
        free -= needed;
        chosen.push(column);
    }
    // The rest is for names, then for bars.
    let mut grown = |column: Column, most: u16| {
        let width = column.width();
        let more = if chosen.contains(&column) { most.saturating_sub(width).min(free) } else { 0 };
        free -= more;
        width + more
    };
    let names = state.about.ranks.iter().map(|name| Span::raw(name).width()).max().unwrap_or(0);
    let device = grown(Column::Device, names.min(DEVICE[1].into()) as u16);
    let bars = grown(Column::Bar, BAR[1]);
    let width = |column: Column| match column {
        Column::Device => device,
        Column::Bar => bars,
        _ => column.width(),
    };
    Column::ALL.into_iter().filter(|column| chosen.contains(column)).map(|column| (column, width(column))).collect()
}

/// Draws the table into an area with the number of rows that [`height`] returned.
pub(super) fn draw(state: &State, palette: &Palette, area: Rect, buffer: &mut Buffer) {
    let (ranks, rows) = (state.about.ranks.len(), usize::from(area.height));
    if rows < 2 || area.width < Column::Rank.width() {
        return;
    }
    let (unit, slowest) = (Unit::of(&state.ranks), slowest(&state.ranks));
    let columns = columns(state, slowest.is_some(), area.width);
    let table = Table { state, palette, unit, slowest };
    let mut at = Rect { height: 1, ..area };
    let head = columns.iter().map(|&(column, width)| {
        let style = if column == Column::Rank { palette.strong } else { palette.faint };
        vec![Span::styled(aligned(column.head(), column, width), style)]
    });
    line(head).render(at, buffer);
    let mut order: Vec<_> = (0..ranks).collect();
    let seen = if ranks < rows { ranks } else { rows - 2 };
    if seen < ranks && !state.ranks.is_empty() {
        order.sort_by(|&a, &b| state.ranks[b].computing.total_cmp(&state.ranks[a].computing));
    }
    for &rank in &order[..seen] {
        at.y += 1;
        line(columns.iter().map(|&(column, width)| table.cell(rank, column, width))).render(at, buffer);
    }
    let rest = &order[seen..];
    if !rest.is_empty() {
        at.y += 1;
        sum_up(rest, &table, area.width).render(at, buffer);
    }
}

/// Returns a line for ranks that have none, as long as fits.
fn sum_up(ranks: &[usize], table: &Table<'_>, width: u16) -> Line<'static> {
    let (state, unit) = (table.state, table.unit);
    let mut texts = vec![format!("   … and {} more", ranks.len())];
    if !state.ranks.is_empty() {
        let times = || ranks.iter().map(|&rank| state.ranks[rank]);
        let [least, most] = range(times().map(|times| times.computing)).map(|seconds| unit.number(seconds));
        let computing = if least == most { most } else { format!("{least} to {most}") };
        texts.push(format!("{}, computing {computing} {}", texts[0], unit.name));
        texts.push(format!("{}, exchanging {} of a step", texts[1], shares(times())));
    }
    let fits = |text: &&String| Span::raw(text.as_str()).width() <= width.into();
    let text = texts.iter().rev().find(fits).unwrap_or(&texts[0]);
    styled(shorten(text, width), table.palette.faint)
}

/// Returns a line of cells.
fn line(cells: impl Iterator<Item = Vec<Span<'static>>>) -> Line<'static> {
    let mut line = Line::default();
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            line.push_span(" ".repeat(GAP.into()));
        }
        line.spans.extend(cell);
    }
    line
}

/// Returns the text of a cell with the column's width; numbers are aligned to the right.
fn aligned(text: &str, column: Column, width: u16) -> String {
    let text = shorten(text, width);
    let blanks = " ".repeat(usize::from(width).saturating_sub(Span::raw(&text).width()));
    let is_text = matches!(column, Column::Device | Column::Bar | Column::Mark);
    if is_text { text + &blanks } else { blanks + &text }
}

impl Table<'_> {
    /// Returns a rank's cell.
    fn cell(&self, rank: usize, column: Column, width: u16) -> Vec<Span<'static>> {
        let Self { state, palette, unit, slowest } = self;
        let slowest = slowest.filter(|(slowest, _)| *slowest == rank).map(|(_, more)| more);
        let style = match slowest {
            Some(more) if delays(more) => palette.warning,
            Some(_) => palette.strong,
            None => Style::new(),
        };
        let one = |text: &str, style: Style| vec![Span::styled(aligned(text, column, width), style)];
        match (column, state.ranks.get(rank)) {
            (Column::Rank, _) => one(&rank.to_string(), style),
            (Column::Device, _) => one(&state.about.ranks[rank], Style::new()),
            (Column::Computing | Column::Exchanging | Column::Sent, None) => one("-", palette.faint),
            (_, None) => one("", Style::new()),
            (Column::Computing, Some(times)) => one(&unit.text(times.computing), style),
            (Column::Exchanging, Some(times)) => {
                one(&format!("{}   {:3.0}%", unit.text(times.exchanging), 100.0 * times.share()), Style::new())
            }
            (Column::Bar, Some(times)) => {
                let style = if slowest.is_some_and(delays) { palette.warning } else { palette.train };
                bar(1.0 - times.share(), width, style, palette.faint).into()
            }
            (Column::Sent, Some(times)) => one(&bytes(times.sent), Style::new()),
            (Column::Mark, _) => one(&slowest.map_or(String::new(), |more| format!("slowest {}", excess(more))), style),
        }
    }
}
