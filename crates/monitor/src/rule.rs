//! The rule of a composite alarm.

use crate::state::State;

/// When a composite alarm is in alarm, by
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Constant(bool),
    /// An alarm, by its logical id, is in a state.
    Is(State, String),
    Not(Box<Rule>),
    And(Box<Rule>, Box<Rule>),
    Or(Box<Rule>, Box<Rule>),
}

/// Why a rule is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Something else is expected.
    #[error("{expected} is expected before {rest:?}")]
    Unexpected {
        /// What is expected.
        expected: &'static str,
        /// What is left of the rule.
        rest: String,
    },
    /// More than CloudWatch takes.
    #[error("a rule names at most 100 alarms")]
    TooLarge,
}

/// The most alarms that CloudWatch takes in a rule.
const MAX_ALARMS: usize = 100;

impl Rule {
    pub(crate) fn parse(text: &str) -> Result<Self, RuleError> {
        let mut parser = Parser { rest: text.trim_start() };
        let rule = parser.any()?;
        if !parser.rest.is_empty() {
            return Err(parser.expected("AND, OR or the end"));
        }
        if rule.alarms().len() > MAX_ALARMS { Err(RuleError::TooLarge) } else { Ok(rule) }
    }

    pub(crate) fn holds(&self, state: &impl Fn(&str) -> State) -> bool {
        match self {
            Self::Constant(constant) => *constant,
            Self::Is(wanted, alarm) => state(alarm) == *wanted,
            Self::Not(rule) => !rule.holds(state),
            Self::And(left, right) => left.holds(state) && right.holds(state),
            Self::Or(left, right) => left.holds(state) || right.holds(state),
        }
    }

    /// The alarms that the rule names, as often as it does.
    pub(crate) fn alarms(&self) -> Vec<&str> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Is(_, alarm) => vec![alarm],
            Self::Not(rule) => rule.alarms(),
            Self::And(left, right) | Self::Or(left, right) => {
                [left.alarms(), right.alarms()].concat()
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Rule, RuleError> {
        let mut left = self.all()?;
        while self.word("OR") {
            left = Rule::Or(left.into(), self.all()?.into());
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Rule, RuleError> {
        let mut left = self.one()?;
        while self.word("AND") {
            left = Rule::And(left.into(), self.one()?.into());
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Rule, RuleError> {
        if self.word("NOT") {
            return Ok(Rule::Not(self.one()?.into()));
        }
        if self.sign('(') {
            let inner = self.any()?;
            return if self.sign(')') { Ok(inner) } else { Err(self.expected("`)`")) };
        }
        let states = [
            ("ALARM", State::Alarm),
            ("OK", State::Ok),
            ("INSUFFICIENT_DATA", State::InsufficientData),
        ];
        for (name, state) in states {
            if self.word(name) {
                return Ok(Rule::Is(state, self.alarm()?));
            }
        }
        for (name, constant) in [("TRUE", true), ("FALSE", false)] {
            if self.word(name) {
                return Ok(Rule::Constant(constant));
            }
        }
        Err(self.expected("ALARM, OK, INSUFFICIENT_DATA, TRUE, FALSE, NOT or `(`"))
    }

    /// A name in parentheses, with quotation marks around it or without.
    fn alarm(&mut self) -> Result<String, RuleError> {
        let inner = self.rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let Some((name, rest)) = inner else {
            return Err(self.expected("an alarm's name in `()`"));
        };
        self.rest = rest.trim_start();
        Ok(name.trim().trim_matches('"').to_owned())
    }

    fn word(&mut self, word: &str) -> bool {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (next, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if next == word {
            self.rest = rest.trim_start();
        }
        next == word
    }

    fn sign(&mut self, sign: char) -> bool {
        let rest = self.rest.strip_prefix(sign).map(str::trim_start);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expected(&self, expected: &'static str) -> RuleError {
        RuleError::Unexpected { expected, rest: self.rest.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: &str, in_alarm: &[&str]) -> bool {
        let state = |alarm: &str| if in_alarm.contains(&alarm) { State::Alarm } else { State::Ok };
        Rule::parse(rule).unwrap_or_else(|error| panic!("{rule}: {error}")).holds(&state)
    }

    /// The examples of
    /// docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
    #[test]
    fn rules_as_documented() {
        let both = "ALARM(CPUUtilizationTooHigh) AND ALARM(DiskReadOpsTooHigh)";
        assert!(holds(both, &["CPUUtilizationTooHigh", "DiskReadOpsTooHigh"]));
        assert!(!holds(both, &["CPUUtilizationTooHigh"]));

        let unless = "ALARM(CPUUtilizationTooHigh) AND NOT ALARM(DeploymentInProgress)";
        assert!(holds(unless, &["CPUUtilizationTooHigh"]));
        assert!(!holds(unless, &["CPUUtilizationTooHigh", "DeploymentInProgress"]));

        let grouped = "(ALARM(CPUUtilizationTooHigh) OR ALARM(DiskReadOpsTooHigh)) AND \
                       OK(NetworkOutTooHigh)";
        assert!(holds(grouped, &["DiskReadOpsTooHigh"]));
        assert!(!holds(grouped, &["DiskReadOpsTooHigh", "NetworkOutTooHigh"]));
        assert!(!holds(grouped, &[]));
    }

    #[test]
    fn names_may_stand_in_quotation_marks_and_constants_in_rules() {
        assert!(holds("ALARM(\"a-b\") OR FALSE", &["a-b"]));
        assert!(holds("NOT (FALSE OR INSUFFICIENT_DATA(a)) AND TRUE", &[]));
    }

    #[test]
    fn and_binds_more_than_or() {
        assert!(holds("TRUE OR FALSE AND FALSE", &[]));
        assert!(holds("ALARM(a) AND ALARM(b) OR ALARM(c)", &["c"]));
    }

    #[test]
    fn other_text_is_refused_with_the_place_of_the_error() {
        let refused = |rule: &str| Rule::parse(rule).unwrap_err().to_string();
        let two = "AND, OR or the end is expected before \"ALARM(b)\"";
        assert_eq!(refused("ALARM(a) ALARM(b)"), two);
        assert!(refused("").starts_with("ALARM, OK"));
        assert!(refused("ALARM a").starts_with("an alarm's name in `()` is expected"));
        assert!(refused("(ALARM(a)").starts_with("`)` is expected"));
        assert!(refused("alarm(a)").ends_with("is expected before \"alarm(a)\""));
        let many = vec!["ALARM(a)"; 101].join(" OR ");
        assert_eq!(refused(&many), "a rule names at most 100 alarms");
    }
}
