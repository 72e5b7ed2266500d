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

/// Bits computed behind those that the decimals need.
const SPARE: u64 = 96;

/// Bits that the errors of computing are kept away from the value by.
const CUT: u64 = 32;

/// The inverse root of 10005 to the precision of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InverseRoot(pub(super) BigUint);

/// Pi, to a precision that gives the digits wanted and those to spare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PiValue {
    /// A tenth of pi, times `2^bits`.
    pub(super) value: BigUint,
    pub(super) bits: u64,
}

impl Series {
    /// Bits of the numbers that are divided.
    fn precision(self) -> u64 {
        // Bits of a decimal, rounded up.
        let bits = u128::from(self.scale() + 1) * 3_321_928_095 / 1_000_000_000 + 1;
        (u64::try_from(bits).unwrap_or(u64::MAX) + SPARE).next_multiple_of(64)
    }
}

impl InverseRoot {
    /// Computes it.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn of(series: Series, stop: StopCheck<'_>) -> Result<Self, Stopped> {
        inverse_root(series.precision(), stop).map(Self)
    }
}

impl PiValue {
    /// Pi from the triple of the whole series and the root.
    ///
    /// It is off by less than a hundredth of a unit of the last of the [`Series::scale`] decimals. With n bits of precision, 96
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
    /// Where `whole` is not the sum of all terms of `series`.
    pub fn of(series: Series, whole: Triple, root: InverseRoot, stop: StopCheck<'_>) -> Result<Self, Stopped> {
        assert_eq!(whole.range, 0..series.terms(), "the whole series");
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

    /// Writes `3.` and exactly the digits wanted, truncated, without a line end.
    ///
    /// Why the last digit is right: the value is off by less than a unit of the last decimal computed. Where the decimals to
    /// spare are neither all 0 nor all 9, that cannot change those in front of them, and they are those of pi. Otherwise
    /// (once in 10^20 by chance) the answer is [`WriteError::Unsettled`]: a wrong digit is never told to be right.
    ///
    /// # Errors
    /// [`WriteError::Stopped`] where `stop` says so, [`WriteError::Io`] where `out` refuses. [`WriteError::Unsettled`]: the whole
    /// is to be computed again with [`Series::wider`].
    pub fn write(self, series: Series, out: &mut dyn Write, stop: StopCheck<'_>) -> Result<(), WriteError> {
        let mut pointed = DecimalPointWriter { out, written: 0, wanted: u64::from(series.digits()) + 1, spare: Vec::new() };
        write_fraction((self.value, self.bits), series.scale() + 1, &mut pointed, stop)?;
        let spare = pointed.spare;
        let settled = [b'0', b'9'].iter().all(|digit| spare.iter().any(|other| other != digit));
        if settled { Ok(()) } else { Err(WriteError::Unsettled) }
    }
}

/// The number cut or filled up to `bits` bits, and the power of two that it stands for times itself.
fn leading(number: BigUint, bits: u64) -> (BigUint, i64) {
    let up = signed(number.bits()) - signed(bits);
    (shifted(number, -up), up)
}

/// The floor of `number 2^exponent`.
fn shifted(number: BigUint, exponent: i64) -> BigUint {
    if exponent >= 0 { number << exponent.unsigned_abs() } else { number >> exponent.unsigned_abs() }
}

/// Bits as a number with a sign: numbers have far fewer than 2^63.
fn signed(bits: u64) -> i64 {
    i64::try_from(bits).unwrap_or(i64::MAX)
}

/// Puts the point behind the first digit, and keeps those behind the last one wanted to itself.
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
