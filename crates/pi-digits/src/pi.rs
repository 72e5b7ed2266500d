//! From the sum of the series to the text: the root, the quotient, `3.` and the decimals, the check of the last digit.

use std::io::Write;

use num_bigint::BigUint;

use super::chudnovsky::{Series, Triple};
use super::decimal::write_fraction;
use super::divide::quotient;
use super::product::mul;
use super::root::inverse_root;
use super::{StopCheck, Stopped, WriteError};

/// `426880 * 10005 / 10`, the whole number by which a tenth of pi is the sum times the inverse root.
const FACTOR: u32 = 427_093_440;

/// Bits computed in addition to those that the decimals need.
const SPARE: u64 = 96;

/// Lowest bits of the quotient that are dropped, because they contain the rounding errors.
const CUT: u64 = 32;

/// The inverse square root of 10005 to the precision of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InverseRoot(pub(super) BigUint);

/// Pi with a precision for the requested and the additional digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PiValue {
    /// A tenth of pi, times `2^bits`.
    pub(super) value: BigUint,
    pub(super) bits: u64,
}

impl Series {
    /// Returns the number of bits of dividend and divisor.
    fn precision(self) -> u64 {
        // Bits of a decimal, rounded up.
        let bits = u128::from(self.scale() + 1) * 3_321_928_095 / 1_000_000_000 + 1;
        (u64::try_from(bits).unwrap_or(u64::MAX) + SPARE).next_multiple_of(64)
    }
}

impl InverseRoot {
    /// Computes the root.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn of(series: Series, stop: StopCheck<'_>) -> Result<Self, Stopped> {
        inverse_root(series.precision(), stop).map(Self)
    }
}

impl PiValue {
    /// Computes pi from the triple of the complete series and the root.
    ///
    /// The error is less than a hundredth of a unit of the last of the [`Series::scale`] decimals. With n bits of precision, 96
    /// more than those decimals need:
    /// - The terms left out change it by less than a hundredth of a unit ([`Series::terms`] leaves a tenth of that free).
    /// - The root is off by less than 4 of more than `2^(n - 7)`, the numbers that are divided by less than 1 of at least
    ///   `2^(n - 1)`, the quotient by less than 4 of at least `2^(n - 1)`: together a share of `2^(11 - n)`.
    /// - The value is cut to n - 32 bits behind the point, 64 more than the decimals need.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    ///
    /// # Panics
    /// If `whole` is not the sum of all terms of `series`.
    pub fn of(series: Series, whole: Triple, root: InverseRoot, stop: StopCheck<'_>) -> Result<Self, Stopped> {
        assert_eq!(whole.range, 0..series.terms(), "the triple is that of the complete series");
        let (precision, bits) = (series.precision(), series.precision() - CUT);
        let (q, q_up) = leading(whole.q, precision);
        let (t, t_up) = leading(whole.t, precision);
        let (dividend, up) = leading(mul(&root.0, &q, stop)?, precision);
        drop((q, root));
        let ratio = quotient(&dividend, &t, precision, stop)? * FACTOR;
        // The numbers above stand for themselves times a power of two; the root and the quotient each times 2^-precision.
        let exponent = up + q_up - t_up - 2 * signed(precision) + signed(bits);
        Ok(Self { value: shifted(ratio, exponent), bits })
    }

    /// Writes `3.` and exactly the requested digits, truncated, without a line break.
    ///
    /// The last digit is right for this reason: the error of the value is less than a unit of the last computed decimal. If the additional
    /// decimals are neither all 0 nor all 9, the error cannot change the requested ones. Otherwise (with a probability of
    /// 10^-20) the result is [`WriteError::Unsettled`].
    ///
    /// # Errors
    /// [`WriteError::Stopped`] if `stop` returns true. [`WriteError::Io`] if `out` fails. [`WriteError::Unsettled`] if the
    /// computation is to be repeated with [`Series::wider`].
    pub fn write(self, series: Series, out: &mut dyn Write, stop: StopCheck<'_>) -> Result<(), WriteError> {
        let mut pointed =
            DecimalPointWriter { out, written: 0, wanted: u64::from(series.digits()) + 1, spare: Vec::new() };
        write_fraction((self.value, self.bits), series.scale() + 1, &mut pointed, stop)?;
        let spare = pointed.spare;
        let settled = [b'0', b'9'].iter().all(|digit| spare.iter().any(|other| other != digit));
        if settled { Ok(()) } else { Err(WriteError::Unsettled) }
    }
}

/// Returns the number shifted to `bits` bits, and the exponent of the power of two that restores it.
fn leading(number: BigUint, bits: u64) -> (BigUint, i64) {
    let up = signed(number.bits()) - signed(bits);
    (shifted(number, -up), up)
}

/// Returns `number 2^exponent`, rounded down.
fn shifted(number: BigUint, exponent: i64) -> BigUint {
    if exponent >= 0 { number << exponent.unsigned_abs() } else { number >> exponent.unsigned_abs() }
}

/// Converts a number of bits, which is far below 2^63.
fn signed(bits: u64) -> i64 {
    i64::try_from(bits).unwrap_or(i64::MAX)
}

/// Inserts the decimal point after the first digit, and collects the additional digits instead of writing them.
struct DecimalPointWriter<'a> {
    out: &'a mut dyn Write,
    written: u64,
    wanted: u64,
    spare: Vec<u8>,
}

impl Write for DecimalPointWriter<'_> {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.wanted - self.written).unwrap_or(usize::MAX);
        let (mut front, spare) = text.split_at(left.min(text.len()));
        self.spare.extend_from_slice(spare);
        self.written += front.len() as u64;
        if let (true, Some((first, rest))) = (self.written == front.len() as u64, front.split_first()) {
            self.out.write_all(&[*first, b'.'])?;
            front = rest;
        }
        self.out.write_all(front)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
