//! A service-time model from measurements: least squares on the forms of the published models.
//!
//! Decides which terms the rows can tell apart, and says how far the fit is off, on the rows that it was made of and
//! on rows that were left out of it. Does not know where the rows come from.

use crate::model::{DecodeTerms, Formula, Load, MixedTerms, PrefillTerms};
use crate::trace::TimedLoad;

/// Femtoseconds in a millisecond.
const FEMTOS_PER_MS: f64 = 1e12;

/// Every so many rows one is left out, to try the fit of the others on it.
const LEFT_OUT_EVERY: usize = 5;

/// Terms whose rows are this near to what the others say are left out: they cannot be told apart.
const COLLINEAR: f64 = 1e-9;

/// Most terms of a form.
const TERMS: usize = 6;

/// The terms of [`mixed_terms`], by name.
const MIXED: [&str; 5] = ["base", "prefill_token", "decode_token", "decode_context", "prefill_context"];

/// The terms of [`apart_terms`], by name.
const APART: [&str; 6] =
    ["decode base", "decode token", "decode context", "prefill base", "prefill token", "prefill square"];

/// Which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prompts and decodes share an iteration: base, prompt tokens, decodes, and the contexts of both.
    Mixed,
    /// Prompts and decodes are timed apart and added: a base of their own each, prompt tokens and their squares,
    /// decodes and their contexts.
    Apart,
}

/// How far a formula is from rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitError {
    /// The root of the mean square, in milliseconds.
    pub rms_ms: f64,
    /// The mean of the errors without their signs, by the measured time.
    pub mean_relative: f64,
    /// 99 of 100 rows are off by at most this share.
    pub p99_relative: f64,
    /// The share of the rows' variance that the formula explains; 1 is all.
    pub r_squared: f64,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The formula.
    pub formula: Formula,
    /// Over the rows that it was made of: all of them.
    pub error: FitError,
    /// Of a fit without every fifth row, over the rows left out; `None` of fewer than ten rows.
    pub error_left_out: Option<FitError>,
    /// Terms that the rows say nothing of, which are 0 in the formula.
    pub undetermined: Vec<&'static str>,
}

/// Why there is no fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitFailure {
    /// Fewer rows than terms.
    #[error("{rows} rows: at least {needed} are needed for each side of the knee")]
    TooFewRows {
        /// How many there are.
        rows: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The formula would let time run back.
    #[error(
        "the fit gives row {row} less than no time: the rows are not of this form, or far too noisy for it"
    )]
    Negative {
        /// The first such row, counted from 1 without the header.
        row: usize,
    },
}

/// Fits a form to rows. With `knee`, iterations beyond it have coefficients of their own: `Mixed` counts all tokens of
/// an iteration, `Apart` its decodes. Linear in the rows.
///
/// # Errors
/// [`FitFailure`].
pub fn fit(rows: &[TimedLoad], form: Form, knee: Option<u64>) -> Result<Fit, FitFailure> {
    let (formula, undetermined) = formula(rows, form, knee)?;
    let negative = rows.iter().position(|row| predicted_ms(&formula, &row.load) <= 0.0);
    if let Some(row) = negative {
        return Err(FitFailure::Negative { row: row + 1 });
    }
    let (left_out, kept): (Vec<_>, Vec<_>) =
        rows.iter().copied().enumerate().partition(|(index, _)| index % LEFT_OUT_EVERY == LEFT_OUT_EVERY - 1);
    let [left_out, kept] =
        [left_out, kept].map(|rows| rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
    let enough = rows.len() >= 2 * LEFT_OUT_EVERY;
    // Too few rows on a side of the knee once some are left out: then nothing is said.
    let tried = enough.then(|| self::formula(&kept, form, knee).ok()).flatten();
    Ok(Fit {
        error: error_of(&formula, rows),
        error_left_out: tried.map(|(formula, _)| error_of(&formula, &left_out)),
        formula,
        undetermined,
    })
}

fn formula(
    rows: &[TimedLoad],
    form: Form,
    knee: Option<u64>,
) -> Result<(Formula, Vec<&'static str>), FitFailure> {
    let mut undetermined = Vec::new();
    let mut solve = |rows: &[TimedLoad], names: &[&'static str], terms: fn(&Load) -> [f64; TERMS]| {
        if rows.len() < names.len() {
            return Err(FitFailure::TooFewRows { rows: rows.len(), needed: names.len() });
        }
        let (coefficients, unknown) = least_squares(rows, names.len(), terms);
        for term in unknown {
            if !undetermined.contains(&names[term]) {
                undetermined.push(names[term]);
            }
        }
        Ok(coefficients.map(|ms| (ms * FEMTOS_PER_MS).round() as i64))
    };
    let side = |is_above: bool| -> Vec<TimedLoad> {
        let count = |load: &Load| match form {
            Form::Mixed => load.prefill_tokens + load.decode_tokens,
            // One more than the last decode below.
            Form::Apart => load.decode_tokens + 1,
        };
        rows.iter()
            .copied()
            .filter(|row| knee.is_none_or(|knee| (count(&row.load) > knee) == is_above))
            .collect()
    };
    let formula = match form {
        Form::Mixed => {
            let terms =
                |[base, prefill_token, decode_token, decode_context, prefill_context, _]: [i64; TERMS]| {
                    MixedTerms {
                        base,
                        token: 0,
                        prefill_token,
                        decode_token,
                        decode_context,
                        prefill_context,
                    }
                };
            let below = terms(solve(&side(false), &MIXED, mixed_terms)?);
            let above = if knee.is_some() { terms(solve(&side(true), &MIXED, mixed_terms)?) } else { below };
            Formula::MixedByTokens { knee: knee.unwrap_or(u64::MAX), below, above }
        }
        Form::Apart => {
            let decode = |c: [i64; TERMS]| DecodeTerms { base: c[0], token: c[1], context: c[2], least: 0 };
            let below = solve(&side(false), &APART, apart_terms)?;
            let above = if knee.is_some() { solve(&side(true), &APART, apart_terms)? } else { below };
            let [.., base, token, square] = below;
            Formula::Apart {
                prefill: PrefillTerms { base, token, square },
                decode_below: decode(below),
                knee: knee.unwrap_or(u64::MAX),
                decode_above: decode(above),
            }
        }
    };
    Ok((formula, undetermined))
}

fn mixed_terms(load: &Load) -> [f64; TERMS] {
    let Load { prefill_tokens, prefill_context, decode_tokens, decode_context, .. } = *load;
    [1.0, prefill_tokens as f64, decode_tokens as f64, decode_context as f64, prefill_context as f64, 0.0]
}

fn apart_terms(load: &Load) -> [f64; TERMS] {
    let Load { prefill_tokens, prefill_squares, decode_tokens, decode_context, .. } = *load;
    [
        f64::from(u8::from(decode_tokens > 0)),
        decode_tokens as f64,
        decode_context as f64,
        f64::from(u8::from(prefill_tokens > 0)),
        prefill_tokens as f64,
        prefill_squares as f64,
    ]
}

/// The coefficients of the first `count` terms that are nearest to the rows, and the terms that the rows cannot tell
/// from those before them. Columns are scaled to length 1, then made orthogonal one after the other (modified
/// Gram-Schmidt, twice, which keeps what squares of token counts would lose).
fn least_squares(
    rows: &[TimedLoad],
    count: usize,
    terms: fn(&Load) -> [f64; TERMS],
) -> ([f64; TERMS], Vec<usize>) {
    let mut rest: Vec<f64> = rows.iter().map(|row| row.duration_ms).collect();
    let columns: Vec<Vec<f64>> =
        (0..count).map(|term| rows.iter().map(|row| terms(&row.load)[term]).collect()).collect();
    let mut basis: Vec<(usize, Vec<f64>)> = Vec::new();
    // `upper[term][other]`: how much of the basis vector of `other` is in the column of `term`.
    let mut upper = [[0.0; TERMS]; TERMS];
    let mut shares = [0.0; TERMS];
    let mut unknown = Vec::new();
    for (term, column) in columns.iter().enumerate() {
        let length = dot(column, column).sqrt();
        let mut vector = column.clone();
        for _ in 0..2 {
            for (other, base) in &basis {
                let share = dot(&vector, base);
                upper[term][*other] += share;
                subtract(&mut vector, share, base);
            }
        }
        let left = dot(&vector, &vector).sqrt();
        if left <= COLLINEAR * length || length == 0.0 {
            unknown.push(term);
            upper[term] = [0.0; TERMS];
            continue;
        }
        upper[term][term] = left;
        vector.iter_mut().for_each(|value| *value /= left);
        shares[term] = dot(&rest, &vector);
        subtract(&mut rest, shares[term], &vector);
        basis.push((term, vector));
    }
    let mut coefficients = [0.0; TERMS];
    for (term, _) in basis.iter().rev() {
        let of_later = (term + 1..count).map(|later| upper[later][*term] * coefficients[later]).sum::<f64>();
        coefficients[*term] = (shares[*term] - of_later) / upper[*term][*term];
    }
    (coefficients, unknown)
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn subtract(from: &mut [f64], share: f64, what: &[f64]) {
    from.iter_mut().zip(what).for_each(|(value, part)| *value -= share * part);
}

fn predicted_ms(formula: &Formula, load: &Load) -> f64 {
    formula.pace(load).femtos() as f64 / FEMTOS_PER_MS
}

fn error_of(formula: &Formula, rows: &[TimedLoad]) -> FitError {
    let count = rows.len().max(1) as f64;
    let errors: Vec<f64> =
        rows.iter().map(|row| predicted_ms(formula, &row.load) - row.duration_ms).collect();
    let relative = |(error, row): (&f64, &TimedLoad)| error.abs() / row.duration_ms;
    let mut relatives: Vec<f64> = errors.iter().zip(rows).map(relative).collect();
    relatives.sort_by(f64::total_cmp);
    let p99 = (relatives.len() * 99).div_ceil(100).saturating_sub(1);
    let mean = rows.iter().map(|row| row.duration_ms).sum::<f64>() / count;
    let variance: f64 = rows.iter().map(|row| (row.duration_ms - mean).powi(2)).sum();
    let squares = dot(&errors, &errors);
    FitError {
        rms_ms: (squares / count).sqrt(),
        mean_relative: relatives.iter().sum::<f64>() / count,
        p99_relative: relatives.get(p99).copied().unwrap_or(0.0),
        r_squared: if variance > 0.0 { 1.0 - squares / variance } else { 1.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MODELS, ServiceModel};
    use crate::random::Random;

    /// Iterations as an engine has them, timed by a model, with an error of up to so many thousandths.
    fn rows(model: &ServiceModel, count: usize, thousandths: u64) -> Vec<TimedLoad> {
        let mut random = Random::new(9);
        let mut row = || {
            let decode_tokens = random.below(64);
            let prompt = if random.below(3) == 0 { 0 } else { 1 + random.below(448) };
            let decode_tokens = decode_tokens + u64::from(prompt == 0);
            let load = Load {
                prefill_tokens: prompt,
                prefill_context: if prompt == 0 { 0 } else { random.below(4_000) },
                prefill_squares: prompt * prompt,
                decode_tokens,
                decode_context: decode_tokens * random.below(2_000),
            };
            let exact = model.iteration_ns(&load) as f64 / 1e6;
            let noise = 1.0 + (random.below(2 * thousandths + 1) as f64 - thousandths as f64) / 1e3;
            TimedLoad { load, duration_ms: exact * noise }
        };
        (0..count).map(|_| row()).collect()
    }

    fn model(id: &str) -> &'static ServiceModel {
        MODELS.iter().find(|model| model.id == id).expect("it is one of them")
    }

    fn close(ours: i64, published: i64) {
        let error = (ours - published).abs() as f64 / (published.abs() as f64).max(1e9);
        assert!(error < 1e-3, "{ours} {published}");
    }

    #[test]
    fn a_published_model_is_found_again_from_its_own_times() {
        let fitted = fit(&rows(model("llama3-8b"), 400, 0), Form::Mixed, None).expect("enough rows");
        let Formula::MixedByTokens { below: ours, .. } = fitted.formula else { panic!("not asked for") };
        let Formula::MixedByTokens { below: published, .. } = model("llama3-8b").formula else {
            panic!("not published")
        };
        close(ours.base, published.base);
        close(ours.prefill_token, published.prefill_token + published.token);
        close(ours.decode_token, published.decode_token + published.token);
        close(ours.decode_context, published.decode_context);
        close(ours.prefill_context, published.prefill_context);
        assert!(fitted.error.rms_ms < 1e-3 && fitted.error.r_squared > 0.999_999, "{:?}", fitted.error);
        assert!(fitted.undetermined.is_empty());

        let fitted = fit(&rows(model("a100-opt13b-tp1"), 400, 0), Form::Apart, None).expect("enough rows");
        let Formula::Apart { prefill: ours, decode_below: ours_decode, .. } = fitted.formula else {
            panic!("not asked for")
        };
        let Formula::Apart { prefill, decode_below, .. } = model("a100-opt13b-tp1").formula else {
            panic!("not published")
        };
        close(ours.base, prefill.base);
        close(ours.token, prefill.token);
        close(ours.square, prefill.square);
        close(ours_decode.base, decode_below.base);
        close(ours_decode.token, decode_below.token);
        close(ours_decode.context, decode_below.context);
    }

    #[test]
    fn the_error_is_that_of_the_rows() {
        // Even noise of up to 10 % has a mean of 5 %.
        let fitted = fit(&rows(model("llama3-8b"), 4_000, 100), Form::Mixed, None).expect("enough rows");
        let left_out = fitted.error_left_out.expect("there are enough");
        for error in [fitted.error, left_out] {
            assert!((0.045..0.055).contains(&error.mean_relative), "{error:?}");
            assert!((0.095..0.115).contains(&error.p99_relative), "{error:?}");
        }
        // The wrong form shows.
        let wrong = fit(&rows(model("a100-opt13b-tp1"), 1_000, 0), Form::Mixed, None).expect("enough rows");
        let right = fit(&rows(model("a100-opt13b-tp1"), 1_000, 0), Form::Apart, None).expect("enough rows");
        assert!(wrong.error.mean_relative > 10.0 * right.error.mean_relative);
    }

    #[test]
    fn a_knee_parts_two_formulas() {
        let mut rows = rows(model("llama3-8b"), 600, 0);
        for row in &mut rows {
            row.load.prefill_tokens *= 3;
            row.duration_ms = model("llama3-8b").iteration_ns(&row.load) as f64 / 1e6;
        }
        let parted = fit(&rows, Form::Mixed, Some(512)).expect("enough rows on both sides");
        let whole = fit(&rows, Form::Mixed, None).expect("enough rows");
        assert!(parted.error.rms_ms < 1e-3, "{:?}", parted.error);
        assert!(whole.error.rms_ms > 100.0 * parted.error.rms_ms);
    }

    #[test]
    fn what_the_rows_do_not_tell_is_said() {
        let mut rows = rows(model("llama3-8b"), 100, 0);
        rows.retain(|row| row.load.prefill_tokens == 0);
        let fitted = fit(&rows, Form::Mixed, None).expect("enough rows");
        assert_eq!(fitted.undetermined, ["prefill_token", "prefill_context"]);
        let error = fit(&rows[..3], Form::Mixed, None).expect_err("too few");
        assert_eq!(error, FitFailure::TooFewRows { rows: 3, needed: 5 });
    }
}
