//! When calls come and how long they last. Everything is decided beforehand from the seed: nothing a server does
//! changes it, and the same seed gives the same calls.

use std::{path::Path, str::FromStr, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, LogNormal};
use rand_pcg::Pcg64Mcg;

use super::Failure;

/// The shortest and the longest call that a distribution gives, in seconds.
const SHORTEST: f64 = 2.0;
const LONGEST: f64 = 4.0 * 3600.0;
/// A plan of more calls is a mistake.
const MOST: usize = 5_000_000;

/// One call of the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// From the start of the run.
    pub at: Duration,
    pub length: Duration,
}

/// How long calls last, in seconds: `constant:60`, `uniform:30,300`, `exponential:180`, `lognormal:180,0.8` (median and
/// the spread of the logarithm).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    Constant(f64),
    Uniform(f64, f64),
    Exponential(f64),
    LogNormal(f64, f64),
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no length of calls; use constant:60, uniform:30,300, exponential:180 or lognormal:180,0.8 (seconds)"
            )
        };
        let (name, numbers) = text.split_once(':').ok_or_else(wrong)?;
        let numbers: Vec<f64> =
            numbers.split(',').map(|number| number.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        let positive = numbers.iter().all(|number| *number > 0.0 && number.is_finite());
        match (name, numbers.as_slice()) {
            ("constant", &[seconds]) if positive => Ok(Self::Constant(seconds)),
            ("uniform", &[from, to]) if positive && from <= to => Ok(Self::Uniform(from, to)),
            ("exponential", &[mean]) if positive => Ok(Self::Exponential(mean)),
            ("lognormal", &[median, spread]) if positive => Ok(Self::LogNormal(median, spread)),
            _ => Err(wrong()),
        }
    }
}

impl Length {
    fn draw(self, rng: &mut Pcg64Mcg) -> Duration {
        let seconds = match self {
            Self::Constant(seconds) => seconds,
            Self::Uniform(from, to) => rng.random_range(from..=to),
            Self::Exponential(mean) => {
                let unit: f64 = Exp1.sample(rng);
                unit * mean
            }
            // the spread was checked, so there is always one
            Self::LogNormal(median, spread) => {
                LogNormal::new(median.ln(), spread).map_or(median, |lengths| lengths.sample(rng))
            }
        };
        Duration::from_secs_f64(seconds.clamp(SHORTEST, LONGEST))
    }
}

/// How calls come.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// So many are on air at all times: a call that ends by the plan is followed by the next.
    Hold { calls: usize },
    /// So many a second, evenly.
    Constant { per_second: f64 },
    /// So many a second on the average, independent of each other.
    Poisson { per_second: f64 },
    /// As listed.
    Listed(Vec<Arrival>),
}

/// So many calls at one moment, over and above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    pub calls: usize,
    pub at: Duration,
}

impl FromStr for Burst {
    type Err = String;

    /// `20@30`: 20 calls, 30 seconds after the start.
    fn from_str(text: &str) -> Result<Self, String> {
        let burst = text.split_once('@').and_then(|(calls, at)| {
            Some(Self { calls: calls.parse().ok()?, at: Duration::try_from_secs_f64(at.parse().ok()?).ok()? })
        });
        burst.ok_or_else(|| {
            format!("{text:?} is no burst; use CALLS@SECONDS, for example 20@30: 20 calls after 30 seconds")
        })
    }
}

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct Shape {
    pub arrivals: Arrivals,
    pub bursts: Vec<Burst>,
    pub length: Length,
    /// Over which the load rises from nothing to the whole.
    pub ramp: Duration,
    /// No call comes after that, from the start, the ramp included.
    pub span: Duration,
    pub seed: u64,
}

/// All calls, in the order in which they come.
///
/// # Errors
/// When there would be none, or more than could be meant.
pub fn plan(shape: &Shape) -> Result<Vec<Arrival>, Failure> {
    let mut rng = Pcg64Mcg::seed_from_u64(shape.seed);
    let mut plan = match &shape.arrivals {
        Arrivals::Hold { calls } => hold(*calls, shape, &mut rng),
        Arrivals::Constant { per_second } => spread(*per_second, shape, &mut rng, |_| 1.0),
        Arrivals::Poisson { per_second } => spread(*per_second, shape, &mut rng, |rng| Exp1.sample(rng)),
        Arrivals::Listed(listed) => listed.clone(),
    };
    for burst in &shape.bursts {
        plan.extend((0..burst.calls).map(|_| Arrival { at: burst.at, length: shape.length.draw(&mut rng) }));
    }
    plan.sort_by_key(|arrival| arrival.at);
    match plan.len() {
        0 => Err("the plan has no calls: give more calls a minute, or more time".into()),
        calls if calls > MOST => Err(format!("the plan has more than {MOST} calls; that cannot be meant").into()),
        _ => Ok(plan),
    }
}

/// Each of `calls` lines begins within the ramp and has one call after the other.
fn hold(calls: usize, shape: &Shape, rng: &mut Pcg64Mcg) -> Vec<Arrival> {
    let mut plan = Vec::new();
    for line in 0..calls {
        let mut at = shape.ramp.mul_f64(line as f64 / calls as f64);
        while at < shape.span && plan.len() <= MOST {
            // the last one goes on to the end of the run and no further
            let length = shape.length.draw(rng).min(shape.span - at);
            plan.push(Arrival { at, length });
            at += length;
        }
    }
    // what would be left of a line just before the end is no call
    plan.retain(|arrival| arrival.length.as_secs_f64() >= SHORTEST.min(shape.span.as_secs_f64()));
    plan
}

/// Arrivals by a rate that rises along the ramp. Steps are in units of the mean distance, so a rate that changes only
/// stretches time (for Poisson arrivals that is exact: a Poisson process seen through another clock).
fn spread(
    per_second: f64,
    shape: &Shape,
    rng: &mut Pcg64Mcg,
    mut step: impl FnMut(&mut Pcg64Mcg) -> f64,
) -> Vec<Arrival> {
    let (ramp, span) = (shape.ramp.as_secs_f64(), shape.span.as_secs_f64());
    let mut plan = Vec::new();
    let mut expected = 0.0;
    loop {
        expected += step(rng);
        // within the ramp n(t) = rate * t^2 / (2 * ramp) calls have come, after it rate * (t - ramp / 2)
        let at = if expected < per_second * ramp / 2.0 {
            (2.0 * ramp * expected / per_second).sqrt()
        } else {
            expected / per_second + ramp / 2.0
        };
        if !at.is_finite() || at >= span || plan.len() > MOST {
            return plan;
        }
        plan.push(Arrival { at: Duration::from_secs_f64(at), length: shape.length.draw(rng) });
    }
}

/// Reads arrivals from a file: a line a call, seconds from the start and, after a blank, a comma or a tab, its length
/// in seconds; without one it is drawn. Empty lines, a line of headings and lines after `#` are left out.
///
/// # Errors
/// When a line is not like that.
pub fn listed(path: &Path, length: Length, seed: u64) -> Result<Vec<Arrival>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut plan = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut numbers =
            line.split([' ', ',', ';', '\t']).filter(|word| !word.is_empty()).map(str::parse::<f64>).peekable();
        if numbers.peek().is_none() || (index == 0 && numbers.peek().is_some_and(Result::is_err)) {
            continue;
        }
        let wrong = || {
            let file = path.display();
            format!(
                "{file}, line {}: {line:?} is not a call; use seconds from the start and its length in seconds, for example: 12.5 180",
                index + 1
            )
        };
        let seconds = |number: Result<f64, _>| {
            number.ok().and_then(|number| Duration::try_from_secs_f64(number).ok()).ok_or_else(wrong)
        };
        let at = seconds(numbers.next().ok_or_else(wrong)?)?;
        let length = numbers.next().map_or_else(|| Ok(length.draw(&mut rng)), seconds)?;
        plan.push(Arrival { at, length });
    }
    Ok(plan)
}

/// The most calls that are on air at once by the plan.
pub fn peak(plan: &[Arrival]) -> usize {
    let mut changes: Vec<(Duration, i64)> =
        plan.iter().flat_map(|call| [(call.at, 1), (call.at + call.length, -1)]).collect();
    // one that ends makes room for one that comes at the same moment
    changes.sort();
    let mut now = 0;
    changes
        .iter()
        .map(|(_, change)| {
            now += change;
            now
        })
        .max()
        .unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(arrivals: Arrivals) -> Shape {
        Shape {
            arrivals,
            bursts: Vec::new(),
            length: Length::Exponential(30.0),
            ramp: Duration::ZERO,
            span: Duration::from_secs(10_000),
            seed: 7,
        }
    }

    #[test]
    fn poisson_has_its_mean_and_its_spread_and_comes_again_by_its_seed() {
        let shape = shape(Arrivals::Poisson { per_second: 2.0 });
        let calls = plan(&shape).unwrap();
        // 20,000 expected, standard deviation 141
        assert!((calls.len() as f64 - 20_000.0).abs() < 600.0, "{}", calls.len());
        let gaps: Vec<f64> = calls.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 0.5).abs() < 0.02 && (variance.sqrt() / mean - 1.0).abs() < 0.05, "{mean} {variance}");
        let lengths = calls.iter().map(|call| call.length.as_secs_f64()).sum::<f64>() / calls.len() as f64;
        assert!((lengths - 30.0).abs() < 1.0, "{lengths}");
        assert_eq!(plan(&shape).unwrap(), calls);
        assert_ne!(plan(&Shape { seed: 8, ..shape }).unwrap(), calls);
    }

    #[test]
    fn a_ramp_brings_half_as_many() {
        let ramp = Duration::from_secs(100);
        let shape = Shape { ramp, span: ramp, ..shape(Arrivals::Constant { per_second: 10.0 }) };
        let calls = plan(&shape).unwrap();
        assert!((calls.len() as i64 - 500).abs() <= 1, "{}", calls.len());
        let half = calls.iter().filter(|call| call.at < Duration::from_secs(50)).count();
        assert!((half as i64 - 125).abs() <= 1, "{half}");
    }

    #[test]
    fn held_calls_follow_each_other() {
        let hold = Shape { ramp: Duration::from_secs(10), ..shape(Arrivals::Hold { calls: 20 }) };
        let calls = plan(&hold).unwrap();
        assert_eq!(peak(&calls), 20);
        let whole: f64 = calls.iter().map(|call| call.length.as_secs_f64()).sum();
        assert!((whole / 10_000.0 - 20.0).abs() < 0.1, "{whole}");
    }

    #[test]
    fn bursts_come_on_top() {
        let shape = Shape { bursts: vec!["5@12".parse().unwrap()], ..shape(Arrivals::Listed(Vec::new())) };
        let calls = plan(&shape).unwrap();
        assert!(calls.len() == 5 && calls.iter().all(|call| call.at == Duration::from_secs(12)));
        assert!("5".parse::<Burst>().unwrap_err().contains("20@30"));
    }

    #[test]
    fn a_list_is_read_and_a_wrong_line_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "at,length\n0,12\n1.5 # drawn\n\n# none\n3\t4\n").unwrap();
        let calls = listed(file.path(), Length::Constant(9.0), 1).unwrap();
        let seconds: Vec<_> = calls.iter().map(|call| (call.at.as_secs_f64(), call.length.as_secs_f64())).collect();
        assert_eq!(seconds, [(0.0, 12.0), (1.5, 9.0), (3.0, 4.0)]);
        std::fs::write(&file, "0 12\nsoon\n").unwrap();
        assert!(listed(file.path(), Length::Constant(9.0), 1).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn lengths_say_what_is_right() {
        assert_eq!("uniform:3,5".parse(), Ok(Length::Uniform(3.0, 5.0)));
        for wrong in ["", "constant", "constant:-1", "uniform:5,3", "gamma:1"] {
            assert!(wrong.parse::<Length>().unwrap_err().contains("lognormal:180,0.8"), "{wrong}");
        }
    }
}
