//! Functions of single numbers, written so that the compiler turns loops over them into vector instructions.
//!
//! Every function gives the same bits on every processor and wherever it stands in a loop: additions are in a fixed order,
//! and each multiplication that is followed by an addition is fused.

/// Numbers that are worked on together.
pub const LANES: usize = 16;
/// A group of numbers.
pub type Lanes = [f32; LANES];

/// Adding and taking away this number rounds to the nearest whole one (ties to even), up to 2^22.
const ROUNDING: f32 = 12_582_912.0;

/// The larger one. `f32::max` asks about NaN too, which costs a comparison.
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// One number of a group: the second half joined to the first, till one is left.
#[inline(always)]
fn by_halves(mut lanes: Lanes, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Sum of a group, in a fixed order.
#[inline(always)]
pub fn total(lanes: Lanes) -> f32 {
    by_halves(lanes, |a, b| a + b)
}

/// Largest of a group.
#[inline(always)]
pub fn largest(lanes: Lanes) -> f32 {
    by_halves(lanes, larger)
}

/// Sum of `value` over all numbers.
#[inline(always)]
pub fn sum_of(numbers: &[f32], value: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    for group in numbers.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sums[lane] += value(group[lane]);
        }
    }
    total(sums)
}

/// Sum of the squares of `value`.
#[inline(always)]
pub fn squares_of(numbers: &[f32], value: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    for group in numbers.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            let x = value(group[lane]);
            sums[lane] = x.mul_add(x, sums[lane]);
        }
    }
    total(sums)
}

/// Largest of `value` over all numbers; `least` when there are none.
#[inline(always)]
pub fn largest_of(numbers: &[f32], least: f32, value: impl Fn(f32) -> f32) -> f32 {
    let mut most = [least; LANES];
    for group in numbers.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            most[lane] = larger(value(group[lane]), most[lane]);
        }
    }
    largest(most)
}

/// The nearest whole number, ties to even. For magnitudes below 2^22.
#[inline(always)]
pub fn nearest(x: f32) -> f32 {
    (x + ROUNDING) - ROUNDING
}

/// The nearest whole number of `x * factor`, as a byte around 128. For results from -128 to 127.
#[inline(always)]
pub fn byte(x: f32, factor: f32) -> u8 {
    (x.mul_add(factor, ROUNDING).to_bits() as u8).wrapping_add(128)
}

/// The nearest whole number of `x * factor`. For results that 16 bits hold.
#[inline(always)]
pub fn short(x: f32, factor: f32) -> i16 {
    x.mul_add(factor, ROUNDING).to_bits() as i16
}

/// e^x, within 2 units of the last place; below -87 as at -87, above 88 as at 88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = larger(-87.0, if x < 88.0 { x } else { 88.0 });
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDING);
    let whole = shifted - ROUNDING;
    // ln 2 in two parts, so that the rest is exact
    let rest = whole.mul_add(-0.693_359_4, x);
    let rest = whole.mul_add(2.121_944_4e-4, rest);
    let mut series = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        series = rest.mul_add(series, coefficient);
    }
    let power = (rest * rest).mul_add(series, rest) + 1.0;
    // the low bits of `shifted` are the exponent
    power * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// Hyperbolic tangent, within 2e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let shrunk = exp(-2.0 * x.abs());
    ((1.0 - shrunk) / (1.0 + shrunk)).copysign(x)
}

/// Gauss's error function, within 2e-7 (Abramowitz and Stegun 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / size.mul_add(0.327_591_1, 1.0);
    let mut series: f32 = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_72, 0.254_829_6] {
        series = series.mul_add(t, coefficient);
    }
    (-(series * t)).mul_add(exp(-size * size), 1.0).copysign(x)
}

/// x times the probability that a normal variable is below x.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let half = 0.5 * x;
    half.mul_add(erf(x * std::f32::consts::FRAC_1_SQRT_2), half)
}

/// x times the logistic function of x.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(ours: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        (-4000..4000)
            .map(|i| f64::from(i) / 400.0)
            .fold(0.0, |worst: f64, x| worst.max((f64::from(ours(x as f32)) - exact(f64::from(x as f32))).abs()))
    }

    #[test]
    fn functions_are_close_to_the_exact_ones() {
        let relative = |x: f32| (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs();
        let apart = (-8700..880).map(|i| relative(i as f32 / 100.0)).fold(0.0, f64::max);
        assert!(apart < 3e-7, "exp {apart}");
        assert!(worst(tanh, f64::tanh) < 2e-7);
        assert!(worst(silu, |x| x / (1.0 + (-x).exp())) < 1e-6);
        // integral of the normal density, by Simpson's rule
        let normal = |x: f64| {
            let step = x / 2000.0;
            let density = |i: i32| (-(f64::from(i) * step).powi(2) / 2.0).exp();
            let inner: f64 = (1..2000).map(|i| density(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
            0.5 + (density(0) + inner + density(2000)) * step / 3.0 / (2.0 * std::f64::consts::PI).sqrt()
        };
        assert!(worst(gelu, |x| x * normal(x)) < 2e-6);
    }

    #[test]
    fn bytes_are_rounded_and_centred() {
        assert_eq!([0.0, 1.0, -1.0, 0.5, 1.5].map(|x| byte(x, 1.0)), [128, 129, 127, 128, 130]);
        assert_eq!((byte(1.0, 127.0), byte(-1.0, 127.0)), (255, 1));
        assert_eq!(nearest(2.5), 2.0);
        assert_eq!([32_767.0, -32_767.0, 0.5, 1.5, -1.2].map(|x| short(x, 1.0)), [32_767, -32_767, 0, 2, -1]);
    }

    #[test]
    fn sums_and_maxima() {
        let numbers: Vec<f32> = (0..48).map(|i| i as f32 - 20.0).collect();
        assert_eq!(sum_of(&numbers, |x| x), 168.0);
        assert_eq!(largest_of(&numbers, 0.0, f32::abs), 27.0);
        assert_eq!(squares_of(&[2.0; 32], |x| x - 1.0), 32.0);
    }
}
