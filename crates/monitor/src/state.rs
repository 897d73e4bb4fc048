//! From the points of the latest periods to the state of an alarm.

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Ok,
    /// What the alarm is for has happened.
    Alarm,
    /// Nothing is known, as before the first evaluation.
    InsufficientData,
}

/// What an alarm makes of a period without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingData {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

/// Of how many periods how many must breach the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) datapoints: usize,
    pub(crate) periods: usize,
}

impl Needed {
    /// How many periods are looked at, so that points that are missing can be replaced by older
    /// ones. CloudWatch documents no formula, only that three periods have a range of five.
    pub(crate) const fn range(self) -> usize {
        self.periods + 2
    }
}

/// The next state of an alarm. `points` are those of its range, the latest last: whether each
/// breaches the threshold, if it exists.
///
/// This is "How alarm state is evaluated when data is missing" in
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>.
pub(crate) fn next(
    points: &[Option<bool>],
    needed: Needed,
    missing: MissingData,
    current: State,
) -> State {
    let Needed { datapoints, periods } = needed;
    let real: Vec<bool> = points.iter().rev().copied().flatten().take(periods).collect();
    let breaching = real.iter().filter(|breaches| **breaches).count();
    let filled = periods - real.len();
    let state_if = |alarm: bool| if alarm { State::Alarm } else { State::Ok };
    if filled == 0 || breaching >= datapoints {
        return state_if(breaching >= datapoints);
    }
    match missing {
        MissingData::Breaching => state_if(breaching + filled >= datapoints),
        MissingData::NotBreaching => State::Ok,
        // A point that does not breach decides, since the missing ones count for nothing.
        MissingData::Missing | MissingData::Ignore if breaching < real.len() => State::Ok,
        MissingData::Ignore => current,
        // Nothing but breaches: they are enough once the oldest is as old as the points needed.
        MissingData::Missing => {
            let oldest = points.iter().position(|point| *point == Some(true));
            if oldest.is_some_and(|oldest| points.len() - oldest >= datapoints) {
                State::Alarm
            } else {
                State::InsufficientData
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states for a row of the documentation's tables, with missing data treated as missing,
    /// ignore, breaching and not breaching. `None` is "Retain current state".
    fn check(row: &str, needed: Needed, expected: [Option<State>; 4]) {
        let points: Vec<_> = row
            .split(' ')
            .map(|point| match point {
                "-" => None,
                point => Some(point == "X"),
            })
            .collect();
        let ways = [
            MissingData::Missing,
            MissingData::Ignore,
            MissingData::Breaching,
            MissingData::NotBreaching,
        ];
        for (missing, expected) in ways.into_iter().zip(expected) {
            for current in [State::Ok, State::Alarm, State::InsufficientData] {
                let state = next(&points, needed, missing, current);
                assert_eq!(state, expected.unwrap_or(current), "{row} {missing:?} {current:?}");
            }
        }
    }

    const OK: Option<State> = Some(State::Ok);
    const ALARM: Option<State> = Some(State::Alarm);
    const INSUFFICIENT: Option<State> = Some(State::InsufficientData);
    const RETAINED: Option<State> = None;

    /// The first table of
    /// docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    #[test]
    fn three_of_three_periods_as_documented() {
        let needed = Needed { datapoints: 3, periods: 3 };
        assert_eq!(needed.range(), 5);
        check("0 - X - X", needed, [OK, OK, OK, OK]);
        check("0 - - - -", needed, [OK, OK, OK, OK]);
        check("- - - - -", needed, [INSUFFICIENT, RETAINED, ALARM, OK]);
        check("0 X X - X", needed, [ALARM, ALARM, ALARM, ALARM]);
        check("- - X - -", needed, [ALARM, RETAINED, ALARM, OK]);
    }

    /// The second table of the same page.
    #[test]
    fn two_of_three_periods_as_documented() {
        let needed = Needed { datapoints: 2, periods: 3 };
        check("0 - X - X", needed, [ALARM, ALARM, ALARM, ALARM]);
        check("0 0 X 0 X", needed, [ALARM, ALARM, ALARM, ALARM]);
        check("0 - X - -", needed, [OK, OK, ALARM, OK]);
        check("- - - - 0", needed, [OK, OK, ALARM, OK]);
        check("- - - X -", needed, [ALARM, RETAINED, ALARM, OK]);
    }

    /// "Avoiding premature transitions to alarm state", on the same page.
    #[test]
    fn a_single_breach_among_missing_points_is_not_enough_until_it_is_old_enough() {
        let needed = Needed { datapoints: 3, periods: 3 };
        for early in ["- - - - X", "- - - X -"] {
            check(early, needed, [INSUFFICIENT, RETAINED, ALARM, OK]);
        }
    }

    #[test]
    fn points_before_the_range_that_is_needed_do_not_count() {
        let needed = Needed { datapoints: 1, periods: 1 };
        check("X X 0", needed, [OK, OK, OK, OK]);
        check("0 0 X", needed, [ALARM, ALARM, ALARM, ALARM]);
        check("X - -", needed, [ALARM, ALARM, ALARM, ALARM]);
    }
}
