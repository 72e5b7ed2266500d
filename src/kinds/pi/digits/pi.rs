//! From the sum of the series to the text: root, division, check of the last digit, `3.` and the decimals.

use std::io::Write;

use num_bigint::BigUint;
use num_integer::Integer;

use super::chudnovsky::{Series, Triple};
use super::decimal::write_decimal;
use super::divide::Divisor;
use super::product::mul;
use super::root::{floor_root, power};
use super::{Stop, Stopped, WriteError};

/// The floor of pi times `10^digits`: the decimals wanted, truncated and proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pi {
    value: BigUint,
    digits: u32,
}

/// The floor of `sqrt(10005) * 10^scale`, with the [`Series::scale`] of a series.
///
/// # Errors
/// [`Stopped`] where `stop` says so.
pub fn sqrt_10005(series: Series, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    let scale = series.scale();
    let square = power(5, 2 * scale, stop)? * 10_005u32;
    floor_root(&(square << (2 * scale)), stop)
}

impl Pi {
    /// Pi from the triple of the whole series and its [`sqrt_10005`]; none where the digits to spare do not settle the
    /// last one wanted. Then the whole is to be computed again with [`Series::wider`].
    ///
    /// Why the last digit is right: let `x = pi 10^scale`, and `v` the quotient computed here.
    /// - The root is below the true one by less than 1, which takes less than 0.04 off `v`, as `pi / sqrt(10005) < 0.04`.
    /// - The terms left out change it by less than 0.01 ([`Series::terms`]).
    /// - `t` and `q` are cut to 64 bits more than `10^scale` has; `q` is 24 bits shorter than `t`, so each changes less
    ///   than the share `2^-39` of a unit.
    /// - Taking the floor takes off less than 1.
    ///
    /// So `v - 1 < x < v + 2`. Where the last `guard` digits of `v` are at least 1 and at most `10^guard - 2`, that whole
    /// span has the same digits in front, and they are those of pi. Otherwise (digits to spare all 0 or all 9, which
    /// happens once in 10^20 by chance) the answer is none: a wrong digit is never given out.
    ///
    /// # Errors
    /// [`Stopped`] where `stop` says so.
    ///
    /// # Panics
    /// Where `whole` is not the sum of all terms of `series`.
    pub fn of(series: Series, whole: Triple, root: BigUint, stop: Stop<'_>) -> Result<Option<Self>, Stopped> {
        assert_eq!(whole.range, 0..series.terms(), "the whole series");
        let Triple { q, t, .. } = whole;
        let surplus = t.bits().saturating_sub(root.bits() + 64);
        let (q, t) = (q >> surplus, t >> surplus);
        let dividend = mul(&root, &q, stop)? * 426_880u32;
        drop((q, root));
        let (value, _) = Divisor::new(t, stop)?.div_rem(&dividend, stop)?;
        Ok(Self::settled(value, series))
    }

    /// The digits wanted, where those behind them settle the last.
    fn settled(value: BigUint, series: Series) -> Option<Self> {
        let unit = BigUint::from(10u32).pow(series.guard());
        let (value, spare) = value.div_rem(&unit);
        let settled = spare >= BigUint::from(1u32) && spare + 2u32 <= unit;
        let digits = series.digits();
        settled.then_some(Self { value, digits })
    }

    /// Decimals after the point.
    pub fn digits(&self) -> u32 {
        self.digits
    }

    /// Writes `3.` and exactly the digits wanted, truncated, without a line end.
    ///
    /// # Errors
    /// [`WriteError::Stopped`] where `stop` says so, [`WriteError::Io`] where `out` refuses.
    pub fn write(self, out: &mut dyn Write, stop: Stop<'_>) -> Result<(), WriteError> {
        let places = u64::from(self.digits) + 1;
        let mut pointed = Pointed { out, started: false };
        write_decimal(self.value, places, &mut pointed, stop)
    }
}

/// Puts the point behind the first digit.
struct Pointed<'a> {
    out: &'a mut dyn Write,
    started: bool,
}

impl Write for Pointed<'_> {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let (false, Some((first, _))) = (self.started, text.split_first()) else {
            return self.out.write(text);
        };
        self.out.write_all(&[*first, b'.'])?;
        self.started = true;
        Ok(1)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
