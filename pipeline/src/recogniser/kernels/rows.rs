//! What happens to a row between two products of bytes. Widths are multiples of [`LANES`].

use super::lanes::{byte, gelu, largest_of, nearest, short, silu, squares_of, sum_of};

/// The largest byte of a row is this far from the middle.
const REACH: f32 = 127.0;
/// Fine steps in one coarse step: what rounding to whole coarse steps leaves over, up to a half, as bytes.
const FINE: i16 = 254;
/// The largest number of a row of sixteen bits: two bytes can tell it.
pub const FINE_REACH: f32 = REACH * FINE as f32;
/// A row of zeros must not be divided by zero.
const TINY: f32 = 1e-9;
/// Added to the variance of a row before it is divided by.
const EPSILON: f32 = 1e-5;

/// Rounds a row to bytes around 128; gives what one step is worth.
#[inline(always)]
pub fn quantise(row: &[f32], bytes: &mut [u8]) -> f32 {
    let most = largest_of(row, TINY, f32::abs);
    let factor = REACH / most;
    for (to, from) in bytes.iter_mut().zip(row) {
        *to = byte(*from, factor);
    }
    most / REACH
}

/// Rounds a row to sixteen bits; gives what one step is worth.
#[inline(always)]
pub fn quantise_fine(row: &[f32], shorts: &mut [i16]) -> f32 {
    let most = largest_of(row, TINY, f32::abs);
    let factor = FINE_REACH / most;
    for (to, from) in shorts.iter_mut().zip(row) {
        *to = short(*from, factor);
    }
    most / FINE_REACH
}

/// Numbers of sixteen bits as two bytes around 128 each: what is coarse, and what that leaves over.
#[inline(always)]
pub fn halves(shorts: &[i16], coarse: &mut [u8], fine: &mut [u8]) {
    for ((coarse, fine), &number) in coarse.iter_mut().zip(fine).zip(shorts) {
        let whole = nearest(f32::from(number) * (1.0 / f32::from(FINE)));
        *coarse = byte(whole, 1.0);
        *fine = byte(whole.mul_add(-f32::from(FINE), f32::from(number)), 1.0);
    }
}

/// Puts the products of both halves together, which are whole numbers, in steps of the columns and of the row.
#[inline(always)]
pub fn join(coarse: &[f32], fine: &[f32], steps: &[f32], step: f32, out: &mut [f32]) {
    for (((out, coarse), fine), column) in out.iter_mut().zip(coarse).zip(fine).zip(steps) {
        // fused: rounded once, as the whole sum is when it is made a float
        *out = coarse.mul_add(f32::from(FINE), *fine) * column * step;
    }
}

/// Layer norm of a row, then bytes.
#[inline(always)]
pub fn norm(row: &[f32], weight: &[f32], scratch: &mut [f32], bytes: &mut [u8]) -> f32 {
    let width = row.len() as f32;
    let mean = sum_of(row, |x| x) / width;
    let inverse = 1.0 / (squares_of(row, |x| x - mean) / width + EPSILON).sqrt();
    for ((out, x), weight) in scratch.iter_mut().zip(row).zip(weight) {
        *out = (x - mean) * inverse * weight;
    }
    quantise(scratch, bytes)
}

/// `sum = x + y * step + bias`.
#[inline(always)]
pub fn add(x: &[f32], y: &[f32], step: f32, bias: &[f32], sum: &mut [f32]) {
    for (((sum, x), y), bias) in sum.iter_mut().zip(x).zip(y).zip(bias) {
        *sum = y.mul_add(step, *bias) + x;
    }
}

/// GELU of `y * step + bias`.
#[inline(always)]
pub fn gelu_row(y: &[f32], step: f32, bias: &[f32], out: &mut [f32]) {
    for ((out, y), bias) in out.iter_mut().zip(y).zip(bias) {
        *out = gelu(y.mul_add(step, *bias));
    }
}

/// The first half of `y * step + bias` times SiLU of the second.
#[inline(always)]
pub fn gate_row(y: &[f32], step: f32, bias: &[f32], out: &mut [f32]) {
    let half = out.len();
    let (passing, gates) = (y[..half].iter().zip(&bias[..half]), y[half..].iter().zip(&bias[half..]));
    for ((out, (passing, passing_bias)), (gate, gate_bias)) in out.iter_mut().zip(passing).zip(gates) {
        *out = passing.mul_add(step, *passing_bias) * silu(gate.mul_add(step, *gate_bias));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(width: usize) -> Vec<f32> {
        (0..width).map(|i| (i as f32 * 0.37).sin() * 3.0).collect()
    }

    #[test]
    fn bytes_stand_for_the_row() {
        let row = wave(288);
        let mut bytes = vec![0; 288];
        let step = quantise(&row, &mut bytes);
        for (byte, x) in bytes.iter().zip(&row) {
            assert!(((f32::from(*byte) - 128.0) * step - x).abs() <= step * 0.5001);
        }
        assert_eq!(quantise(&[0.0; 16], &mut bytes[..16]), TINY / REACH);
        assert_eq!(bytes[..16], [128; 16]);
    }

    #[test]
    fn numbers_of_sixteen_bits_stand_for_the_row_and_two_bytes_for_them() {
        let row = wave(288);
        let mut shorts = vec![0; 288];
        let step = quantise_fine(&row, &mut shorts);
        let most = row.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        assert!((step * FINE_REACH - most).abs() < 1e-5);
        for (short, x) in shorts.iter().zip(&row) {
            assert!((f32::from(*short) * step - x).abs() <= step * 0.51);
        }
        let all: Vec<i16> = (-(FINE_REACH as i16)..=FINE_REACH as i16).collect();
        let (mut coarse, mut fine) = (vec![0; all.len()], vec![0; all.len()]);
        halves(&all, &mut coarse, &mut fine);
        for ((number, coarse), fine) in all.iter().zip(coarse).zip(fine) {
            let value = |byte: u8| i16::from(byte) - 128;
            assert_eq!(*number, value(coarse) * FINE + value(fine));
            assert!(value(fine).abs() <= FINE / 2 && value(coarse).abs() <= REACH as i16);
        }
    }

    #[test]
    fn norm_has_mean_zero_and_deviation_one() {
        let (mut scratch, mut bytes) = (vec![0.0; 288], vec![0; 288]);
        norm(&wave(288), &[1.0; 288], &mut scratch, &mut bytes);
        let mean: f32 = scratch.iter().sum::<f32>() / 288.0;
        let variance: f32 = scratch.iter().map(|x| x * x).sum::<f32>() / 288.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
    }

    #[test]
    fn gate_and_sum_are_what_they_say() {
        let y: Vec<f32> = wave(32);
        let mut out = vec![0.0; 16];
        gate_row(&y, 2.0, &[0.5; 32], &mut out);
        let want = |i: usize| {
            let (a, b) = (y[i] * 2.0 + 0.5, y[i + 16] * 2.0 + 0.5);
            a * b / (1.0 + (-b).exp())
        };
        assert!((0..16).all(|i| (out[i] - want(i)).abs() < 1e-4));
        add(&[1.0; 16], &[2.0; 16], 3.0, &[4.0; 16], &mut out);
        assert_eq!(out, [11.0; 16]);
    }
}
