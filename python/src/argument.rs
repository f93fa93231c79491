//! What a caller may pass: whole numbers, names or numbers of things, and amounts by dimension.

use pyo3::exceptions::{PyOverflowError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList, PyMapping, PyString, PyTuple};
use tidegate::{
    Attempt, Config, Instant, MAX_DIMENSIONS, MAX_POOLS_PER_REQUEST, OtherPools, PoolId, Release, RequestId,
    Resources, Shrink, Tier,
};

use crate::error::{self, raised};

/// A whole number that fits the core's type.
#[derive(Clone, Copy)]
pub(crate) struct Whole<T>(pub(crate) T);

impl<'py, T: TryFrom<u64>> FromPyObject<'_, 'py> for Whole<T> {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        // Python reads what fits a signed word faster, and the rest is rare.
        if let Ok(number) = object.extract::<i64>()
            && let Ok(number) = u64::try_from(number)
            && let Ok(number) = T::try_from(number)
        {
            return Ok(Self(number));
        }
        large(object)
    }
}

#[cold]
fn large<T: TryFrom<u64>>(object: Borrowed<'_, '_, PyAny>) -> PyResult<Whole<T>> {
    let message = || error::beyond(&error::shown(&object), 8 * size_of::<T>());
    let number: u64 =
        object.extract().map_err(|error| error::unusable::<PyOverflowError>(object.py(), error, message))?;
    T::try_from(number).map(Whole).map_err(|_| raised!(object.py(), BadArgument, message()))
}

/// A thing by its name, or by its number.
pub(crate) enum Named {
    /// By its name.
    Name(PyBackedStr),
    /// By its number.
    Number(u32),
}

impl Named {
    /// The first there is.
    pub(crate) const FIRST: Self = Self::Number(0);
}

impl<'py> FromPyObject<'_, 'py> for Named {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyString>() {
            return text(&object).map(Self::Name);
        }
        object.extract().map(|Whole(number)| Self::Number(number))
    }
}

/// Pools by name or number: one, or several in order of preference.
pub(crate) struct Pools(Vec<Named>);

impl Pools {
    /// The first there is.
    pub(crate) const FIRST: Self = Self(Vec::new());

    /// The one it prefers, and the others.
    pub(crate) fn resolve(&self, py: Python<'_>, config: &Config) -> PyResult<(PoolId, OtherPools)> {
        let Some((first, others)) = self.0.split_first() else {
            return Ok((PoolId::new(0), OtherPools::NONE));
        };
        let first = pool(py, config, first)?;
        let others = others.iter().map(|named| pool(py, config, named)).collect::<PyResult<Vec<_>>>()?;
        let too_many = || {
            let message = format!("{} pools; a request may name {MAX_POOLS_PER_REQUEST}", self.0.len());
            raised!(py, BadArgument, message)
        };
        Ok((first, OtherPools::new(&others).ok_or_else(too_many)?))
    }
}

impl<'py> FromPyObject<'_, 'py> for Pools {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if !object.is_instance_of::<PyList>() && !object.is_instance_of::<PyTuple>() {
            return object.extract().map(|named| Self(vec![named]));
        }
        let named: Vec<Named> = object.try_iter()?.map(|item| item?.extract()).collect::<PyResult<_>>()?;
        if named.is_empty() {
            return Err(raised!(object.py(), BadArgument, "no pool is named".to_owned()));
        }
        Ok(Self(named))
    }
}

/// The string, which Python may have filled with what no text holds.
pub(crate) fn text(string: &Bound<'_, PyAny>) -> PyResult<PyBackedStr> {
    let message = || format!("{} is not valid Unicode", error::shown(string));
    string.extract().map_err(|error| error::unusable::<PyUnicodeEncodeError>(string.py(), error, message))
}

/// The tier meant. A number goes on to the core as it is, which refuses the unknown.
pub(crate) fn tier(py: Python<'_>, config: &Config, named: &Named) -> PyResult<Tier> {
    match named {
        Named::Name(name) => config.tier(name).ok_or_else(|| {
            raised!(py, UnknownTier, format!("there is no tier {}", error::quoted(name)), tier = &**name)
        }),
        Named::Number(number) => {
            u8::try_from(*number).map(Tier::new).map_err(|_| error::no_tier(py, *number))
        }
    }
}

/// As [`tier`], for an observer: the core would call an unknown tier empty.
pub(crate) fn known_tier(py: Python<'_>, config: &Config, named: &Named) -> PyResult<Tier> {
    let tier = tier(py, config, named)?;
    let tiers = config.tiers().len();
    if usize::from(tier.get()) < tiers {
        return Ok(tier);
    }
    Err(raised!(py, UnknownTier, format!("{tier} is not one of the {tiers} tiers"), tier = tier.get()))
}

/// The pool meant. A number goes on to the core as it is, which refuses the unknown.
pub(crate) fn pool(py: Python<'_>, config: &Config, named: &Named) -> PyResult<PoolId> {
    match named {
        Named::Name(name) => config.pool(name).ok_or_else(|| {
            raised!(py, UnknownPool, format!("there is no pool {}", error::quoted(name)), pool = &**name)
        }),
        Named::Number(number) => Ok(PoolId::new(*number)),
    }
}

/// Amounts by dimension: a mapping from names, in which what is absent is 0, or numbers in the order of the
/// config. Numbers for dimensions that the config does not name go on to the core.
pub(crate) fn resources(config: &Config, amounts: &Bound<'_, PyAny>) -> PyResult<Resources> {
    let mut out = [0; MAX_DIMENSIONS];
    let slot = |out: &'_ mut [u64; MAX_DIMENSIONS], index: usize, units: Whole<u64>| {
        let slot = out.get_mut(index).ok_or_else(|| {
            raised!(amounts.py(), BadArgument, format!("more than {MAX_DIMENSIONS} dimensions"))
        })?;
        *slot = units.0;
        PyResult::Ok(())
    };
    // What most hosts pass; what is no mapping takes long to tell.
    if let Ok(tuple) = amounts.cast::<PyTuple>() {
        for index in 0..tuple.len() {
            slot(&mut out, index, tuple.get_borrowed_item(index)?.extract()?)?;
        }
    } else if let Ok(by_name) = amounts.cast::<PyMapping>() {
        // `items` is a copy: `__index__` of an amount may change the mapping.
        for item in by_name.items()? {
            let (name, units): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            out[dimension(config, &name)?] = units.extract::<Whole<u64>>()?.0;
        }
    } else {
        for (index, units) in amounts.try_iter()?.enumerate() {
            slot(&mut out, index, units?.extract()?)?;
        }
    }
    Ok(Resources::from(out))
}

fn dimension(config: &Config, name: &Bound<'_, PyAny>) -> PyResult<usize> {
    let text = text(name)?;
    config.dimensions().position(|known| *known == *text).ok_or_else(|| {
        let message = format!("there is no dimension {}", error::quoted(&text));
        raised!(name.py(), UnknownDimension, message, dimension = &*text)
    })
}

/// Amounts by name, as observers return them.
pub(crate) fn by_dimension<'py, N: Copy + IntoPyObject<'py>>(
    py: Python<'py>,
    config: &Config,
    amounts: &[N; MAX_DIMENSIONS],
) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for (index, name) in config.dimensions().enumerate() {
        out.set_item(name, amounts[index])?;
    }
    Ok(out)
}

/// Reads an argument that is more than a number, if it is given; an error is told with its name.
pub(crate) fn about<'a, 'py, T>(
    name: &str,
    value: Option<&'a Bound<'py, PyAny>>,
    read: impl FnOnce(&'a Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Option<T>> {
    let read =
        |value: &'a Bound<'py, PyAny>| read(value).map_err(|error| error::about(value.py(), error, name));
    value.map(read).transpose()
}

pub(crate) fn at(now_ns: Whole<u64>) -> Instant {
    Instant::from_nanos(now_ns.0)
}

pub(crate) fn id(request: Whole<u64>) -> RequestId {
    RequestId::from_bits(request.0)
}

pub(crate) fn shrink(preempt_after_ns: Option<Whole<u64>>) -> Shrink {
    preempt_after_ns.map_or(Shrink::Drain, |span| Shrink::Preempt { after_ns: span.0 })
}

pub(crate) fn release(releasing: bool) -> Release {
    if releasing { Release::Later } else { Release::Done }
}

pub(crate) fn start(attempt: Whole<u32>) -> Attempt {
    Attempt::new(attempt.0)
}
