//! Turns options of documents into policies of the engine: durations in both spellings, ranges, and overrides of branches.

use std::fmt;

use trine_engine::{CallPolicy, OnExhausted, RetryPolicy};
use trine_protocol::duration::HumanDuration;
use trine_protocol::limits::DURATION_MS_MAX;
use trine_protocol::v1::{self, BranchOptions, Options, Retry};

use super::super::problem::Refusal;

const MAX_ATTEMPTS_MAX: u32 = 1_000_000;

/// Reads a duration from `name` or `name_ms`. Both together are refused.
pub(super) fn duration(
    at: fmt::Arguments<'_>,
    name: &str,
    human: Option<HumanDuration>,
    millis: Option<u64>,
    min_ms: u64,
) -> Result<Option<u64>, Refusal> {
    let (unit, value) = match (human, millis) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let detail = format!("give `{name}` or `{name}_ms`, not both");
            return Err(Refusal::field(format!("{at}{name}_ms"), detail));
        }
        (Some(human), None) => ("", human.millis()),
        (None, Some(millis)) => ("_ms", millis),
    };
    if value < min_ms || value > DURATION_MS_MAX {
        let detail = format!("must be between {min_ms} and {DURATION_MS_MAX} milliseconds");
        return Err(Refusal::field(format!("{at}{name}{unit}"), detail));
    }
    Ok(Some(value))
}

/// The policy for a transaction's calls.
pub(super) fn transaction_policy(options: &Options) -> Result<CallPolicy, Refusal> {
    let same_part = BranchOptions {
        call_timeout: options.call_timeout,
        call_timeout_ms: options.call_timeout_ms,
        retry: options.retry.clone(),
        on_exhausted: options.on_exhausted,
    };
    branch_policy(format_args!("options."), CallPolicy::default(), &same_part)
}

/// `base` with the stated `options` replaced. `at` is the path of the options, with the dot at its end.
pub(super) fn branch_policy(
    at: fmt::Arguments<'_>,
    base: CallPolicy,
    options: &BranchOptions,
) -> Result<CallPolicy, Refusal> {
    let timeout_ms = duration(at, "call_timeout", options.call_timeout, options.call_timeout_ms, 1)?;
    let retry = match &options.retry {
        Some(retry) => retry_policy(format_args!("{at}retry."), base.retry, retry)?,
        None => base.retry,
    };
    Ok(CallPolicy {
        timeout_ms: timeout_ms.unwrap_or(base.timeout_ms),
        retry,
        on_exhausted: options.on_exhausted.map_or(base.on_exhausted, |what| match what {
            v1::OnExhausted::Park => OnExhausted::Park,
            v1::OnExhausted::RollBack => OnExhausted::RollBack,
        }),
        ..base
    })
}

fn retry_policy(at: fmt::Arguments<'_>, base: RetryPolicy, retry: &Retry) -> Result<RetryPolicy, Refusal> {
    let initial_ms = duration(at, "initial", retry.initial, retry.initial_ms, 1)?;
    let max_interval_ms = duration(at, "max_interval", retry.max_interval, retry.max_interval_ms, 1)?;
    if let (Some(initial), Some(max)) = (initial_ms, max_interval_ms)
        && max < initial
    {
        let name = if retry.max_interval.is_some() { "max_interval" } else { "max_interval_ms" };
        return Err(Refusal::field(format!("{at}{name}"), "must not be shorter than the initial delay"));
    }
    if retry.max_attempts.is_some_and(|attempts| !(1..=MAX_ATTEMPTS_MAX).contains(&attempts)) {
        let detail = format!("must be between 1 and {MAX_ATTEMPTS_MAX}");
        return Err(Refusal::field(format!("{at}max_attempts"), detail));
    }
    let client_errors = retry.client_error_attempts;
    if client_errors.is_some_and(|attempts| !(1..=MAX_ATTEMPTS_MAX).contains(&attempts)) {
        let detail = format!("must be between 1 and {MAX_ATTEMPTS_MAX}");
        return Err(Refusal::field(format!("{at}client_error_attempts"), detail));
    }
    Ok(RetryPolicy {
        initial_ms: initial_ms.unwrap_or(base.initial_ms),
        factor_permille: permille(format_args!("{at}factor"), retry.factor, 1.0, 10.0)?
            .unwrap_or(base.factor_permille),
        max_interval_ms: max_interval_ms.unwrap_or(base.max_interval_ms),
        jitter_permille: permille(format_args!("{at}jitter"), retry.jitter, 0.0, 1.0)?
            .unwrap_or(base.jitter_permille),
        max_attempts: retry.max_attempts.or(base.max_attempts),
        client_error_attempts: client_errors.unwrap_or(base.client_error_attempts),
    })
}

fn permille(
    field: fmt::Arguments<'_>,
    value: Option<f64>,
    min: f64,
    max: f64,
) -> Result<Option<u32>, Refusal> {
    match value {
        None => Ok(None),
        // The value is in range, so the product fits. Fractions of a thousandth do not matter.
        Some(value) if (min..=max).contains(&value) => Ok(Some((value * 1_000.0).round() as u32)),
        Some(_) => Err(Refusal::field(field.to_string(), format!("must be between {min} and {max}"))),
    }
}
