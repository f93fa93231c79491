//! Columns of whole numbers: buffers of any kind, NumPy arrays among them, or one value for all rows.
//!
//! A column is copied before anything else is done with it: the caller, or another thread, may change what it was read from. How
//! long the columns are is known before memory is asked for, because the shape of a buffer says nothing of what lies behind it.
//! It knows neither what a row means nor the scheduler.

use pyo3::buffer::{Element, ElementType, PyUntypedBuffer};
use pyo3::exceptions::{PyException, PyMemoryError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};
use tidegate::{Config, MAX_DIMENSIONS, Resources};

use crate::argument::{self, Whole};
use crate::error::{self, raised};

/// The numbers of a column, as wide as they came.
enum Cells {
    /// The same in every row.
    All(u64),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

/// A column by its name.
pub(crate) struct Column {
    name: &'static str,
    cells: Cells,
}

/// Amounts by dimension for each row, or the same for all.
pub(crate) enum Amounts {
    All(Resources),
    /// So many numbers for each row, one row after the other.
    Each {
        numbers: Column,
        width: usize,
    },
}

/// A number in a row that its column has no room for.
pub(crate) struct Misfit {
    column: &'static str,
    value: i128,
    /// How large it may be.
    bits: usize,
}

/// Reads columns, which are all of one length.
pub(crate) struct Rows {
    len: Option<usize>,
}

impl Cells {
    /// The number at this place, if it fits.
    #[inline]
    fn get<T: TryFrom<u64> + TryFrom<i64>>(&self, index: usize) -> Option<T> {
        match self {
            Self::All(number) => T::try_from(*number).ok(),
            Self::U8(numbers) => T::try_from(u64::from(numbers[index])).ok(),
            Self::U16(numbers) => T::try_from(u64::from(numbers[index])).ok(),
            Self::U32(numbers) => T::try_from(u64::from(numbers[index])).ok(),
            Self::U64(numbers) => T::try_from(numbers[index]).ok(),
            Self::I8(numbers) => T::try_from(i64::from(numbers[index])).ok(),
            Self::I16(numbers) => T::try_from(i64::from(numbers[index])).ok(),
            Self::I32(numbers) => T::try_from(i64::from(numbers[index])).ok(),
            Self::I64(numbers) => T::try_from(numbers[index]).ok(),
        }
    }

    /// All numbers of the buffer, in the order of its rows.
    fn copied(py: Python<'_>, buffer: &PyUntypedBuffer) -> PyResult<Self> {
        use ElementType::{SignedInteger, UnsignedInteger};
        match native(buffer) {
            UnsignedInteger { bytes: 1 } => copied(py, buffer).map(Self::U8),
            UnsignedInteger { bytes: 2 } => copied(py, buffer).map(Self::U16),
            UnsignedInteger { bytes: 4 } => copied(py, buffer).map(Self::U32),
            UnsignedInteger { bytes: 8 } => copied(py, buffer).map(Self::U64),
            SignedInteger { bytes: 1 } => copied(py, buffer).map(Self::I8),
            SignedInteger { bytes: 2 } => copied(py, buffer).map(Self::I16),
            SignedInteger { bytes: 4 } => copied(py, buffer).map(Self::I32),
            SignedInteger { bytes: 8 } => copied(py, buffer).map(Self::I64),
            _ => Err(no_numbers(&format!("a buffer of the format {:?}", buffer.format().to_string_lossy()))),
        }
    }
}

/// What the buffer holds, if it is in the order of bytes of this machine.
fn native(buffer: &PyUntypedBuffer) -> ElementType {
    let foreign = if cfg!(target_endian = "little") { [b'>', b'!'] } else { [b'<', b'<'] };
    match buffer.format().to_bytes() {
        [order, ..] if foreign.contains(order) => ElementType::Unknown,
        _ => ElementType::from_format(buffer.format()),
    }
}

fn copied<T: Element + Default>(py: Python<'_>, buffer: &PyUntypedBuffer) -> PyResult<Vec<T>> {
    let Ok(typed) = buffer.as_typed::<T>() else {
        return Err(no_numbers("a buffer that is not aligned, or not in this machine's order of bytes"));
    };
    let (count, mut out) = (typed.item_count(), Vec::new());
    out.try_reserve_exact(count).map_err(|error| PyMemoryError::new_err(error.to_string()))?;
    out.resize(count, T::default());
    typed.copy_to_slice(py, &mut out)?;
    Ok(out)
}

fn no_numbers(what: &str) -> PyErr {
    PyTypeError::new_err(format!("{what} is no whole number, and no array of them"))
}

impl Column {
    /// The number in this row.
    ///
    /// # Errors
    /// [`Misfit`] if it is none of these.
    #[inline]
    pub(crate) fn get<T: TryFrom<u64> + TryFrom<i64>>(&self, row: usize) -> Result<T, Misfit> {
        self.cells.get(row).ok_or_else(|| self.misfit(row, 8 * size_of::<T>()))
    }

    /// As [`get`](Self::get), where -1 stands for none.
    #[inline]
    pub(crate) fn optional<T: TryFrom<u64> + TryFrom<i64>>(&self, row: usize) -> Result<Option<T>, Misfit> {
        if self.cells.get(row) == Some(-1_i64) { Ok(None) } else { self.get(row).map(Some) }
    }

    #[cold]
    fn misfit(&self, row: usize, bits: usize) -> Misfit {
        let value = self.cells.get(row).expect("wide enough for all");
        Misfit { column: self.name, value, bits }
    }
}

impl Amounts {
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Result<Resources, Misfit> {
        match self {
            Self::All(units) => Ok(*units),
            Self::Each { numbers, width } => {
                let mut out = [0; MAX_DIMENSIONS];
                for (index, slot) in out.iter_mut().enumerate().take(*width) {
                    *slot = numbers.get(row * width + index)?;
                }
                Ok(Resources::from(out))
            }
        }
    }
}

impl Misfit {
    /// The exception, as a single call would raise it.
    pub(crate) fn exception(&self, py: Python<'_>) -> PyErr {
        let message = error::beyond(&self.value, self.bits);
        error::about(py, raised!(py, BadArgument, message), self.column)
    }
}

impl Rows {
    /// Of no column yet.
    pub(crate) const fn new() -> Self {
        Self { len: None }
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// `BadArgument` if no column told.
    pub(crate) fn len(&self, py: Python<'_>) -> PyResult<usize> {
        self.len.ok_or_else(|| {
            raised!(py, BadArgument, "none of the columns is an array: how many rows are there?")
        })
    }

    /// A column, or one number for all rows.
    ///
    /// # Errors
    /// `TypeError` for what is neither, `BadArgument` for another length.
    pub(crate) fn column(&mut self, name: &'static str, value: &Bound<'_, PyAny>) -> PyResult<Column> {
        self.read(value)
            .map(|cells| Column { name, cells })
            .map_err(|error| error::about(value.py(), error, name))
    }

    /// As [`column`](Self::column); none where the value is `None`, or the -1 that stands for it.
    pub(crate) fn optional(
        &mut self,
        name: &'static str,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Column>> {
        let is_none = value.is_none() || value.extract::<i64>().is_ok_and(|number| number == -1);
        if is_none { Ok(None) } else { self.column(name, value).map(Some) }
    }

    /// As [`column`](Self::column); `number_of` tells what a word stands for, in all rows.
    pub(crate) fn named(
        &mut self,
        name: &'static str,
        value: &Bound<'_, PyAny>,
        number_of: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<u64>,
    ) -> PyResult<Column> {
        if !value.is_instance_of::<PyString>() {
            return self.column(name, value);
        }
        let number = number_of(value).map_err(|error| error::about(value.py(), error, name))?;
        Ok(Column { name, cells: Cells::All(number) })
    }

    /// An array with a row for each row and a column for each dimension; or amounts for all rows.
    pub(crate) fn amounts(
        &mut self,
        name: &'static str,
        config: &Config,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<Amounts> {
        self.matrix(name, config, value).map_err(|error| error::about(value.py(), error, name))
    }

    fn matrix(&mut self, name: &'static str, config: &Config, value: &Bound<'_, PyAny>) -> PyResult<Amounts> {
        match buffer(value)? {
            Some(buffer) if buffer.dimensions() == 2 => {
                let (len, width) = (buffer.shape()[0], buffer.shape()[1]);
                if width > MAX_DIMENSIONS {
                    let message = format!("more than {MAX_DIMENSIONS} dimensions");
                    return Err(raised!(value.py(), BadArgument, message));
                }
                self.agree(value.py(), len)?;
                let cells = Cells::copied(value.py(), &buffer)?;
                Ok(Amounts::Each { numbers: Column { name, cells }, width })
            }
            _ => argument::resources(config, value).map(Amounts::All),
        }
    }

    fn read(&mut self, value: &Bound<'_, PyAny>) -> PyResult<Cells> {
        match buffer(value)? {
            Some(buffer) if buffer.dimensions() == 1 => {
                self.agree(value.py(), buffer.shape()[0])?;
                Cells::copied(value.py(), &buffer)
            }
            Some(buffer) if buffer.dimensions() > 1 => {
                Err(no_numbers(&format!("an array of {} dimensions", buffer.dimensions())))
            }
            _ => value.extract().map(|Whole(number)| Cells::All(number)),
        }
    }

    /// Every array has as many rows, and no more than there may be requests.
    fn agree(&mut self, py: Python<'_>, len: usize) -> PyResult<()> {
        error::within_requests(py, len)?;
        match self.len.replace(len) {
            Some(before) if before != len => {
                let message = format!("an array has {len} rows, one before it has {before}");
                Err(raised!(py, BadArgument, message))
            }
            _ => Ok(()),
        }
    }
}

/// The buffer behind a value, if it has one.
fn buffer(value: &Bound<'_, PyAny>) -> PyResult<Option<PyUntypedBuffer>> {
    if value.is_instance_of::<PyInt>() {
        return Ok(None); // the usual constant: what has no buffer takes long to tell
    }
    match PyUntypedBuffer::get(value) {
        Ok(buffer) if buffer.suboffsets().is_some() => Err(no_numbers("a buffer of pointers")),
        Ok(buffer) => Ok(Some(buffer)),
        // Not all that may be a number has a buffer, and NumPy says so by errors of several kinds.
        Err(error) if error.is_instance_of::<PyException>(value.py()) => Ok(None),
        Err(error) => Err(error),
    }
}
