//! Borrowed matrices: unit column stride, any row stride.
//!
//! A view is a pointer, two extents and a stride, not a slice, because a *column band* of a matrix (the columns of one
//! attention head) is not contiguous: its rows are slices, the gaps between them belong to other bands. That makes
//! it possible to hand disjoint bands of one matrix to several threads ([`ViewMut::split_columns`]), which safe slices
//! cannot express. Only whole rows (`row`, `row_mut`) ever become slices.
//!
//! # Shapes
//! - entry `(i, j)` lies at `start + i·stride + j`, `j < cols <= stride`; rows that are alone or empty lie close,
//!   whatever stride was asked for

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

/// A matrix to read.
pub struct View<'a, T = f32> {
    start: *const T,
    rows: usize,
    cols: usize,
    stride: usize,
    borrowed: PhantomData<&'a [T]>,
}

/// A matrix to write.
pub struct ViewMut<'a, T = f32> {
    start: *mut T,
    rows: usize,
    cols: usize,
    stride: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: a view is a shared borrow of its rows, as `&[T]` is.
unsafe impl<T: Sync> Send for View<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for View<'_, T> {}
// SAFETY: a mutable view is an exclusive borrow of its rows, as `&mut [T]` is; no two live views share an entry.
unsafe impl<T: Send> Send for ViewMut<'_, T> {}
// SAFETY: `&ViewMut` gives out shared borrows only.
unsafe impl<T: Sync> Sync for ViewMut<'_, T> {}

impl<T> Clone for View<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

/// The stride of a matrix of this shape; panics unless `len` numbers hold it. Where no second row begins, or rows
/// have no numbers, the stride that was given means nothing, and could lead out of the slice: the rows then lie
/// close.
#[track_caller]
fn checked_stride(len: usize, rows: usize, cols: usize, stride: usize) -> usize {
    assert!(cols <= stride || rows <= 1, "a view of {cols} columns cannot have a row stride of {stride}");
    let needed = if rows == 0 || cols == 0 {
        0
    } else {
        (rows - 1).checked_mul(stride).and_then(|x| x.checked_add(cols)).unwrap_or(usize::MAX)
    };
    assert!(
        needed <= len,
        "a view of {rows} x {cols} with row stride {stride} needs {needed} values, the slice has {len}"
    );
    if rows <= 1 || cols == 0 { cols } else { stride }
}

#[track_caller]
fn check_range(range: &Range<usize>, extent: usize, what: &str) {
    assert!(
        range.start <= range.end && range.end <= extent,
        "{what} {}..{} of a view that has {extent}",
        range.start,
        range.end
    );
}

impl<'a, T> View<'a, T> {
    /// Contiguous rows; `data` may be longer than needed.
    ///
    /// # Panics
    /// If `data` is too short.
    #[inline]
    #[track_caller]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows that start `stride` apart.
    ///
    /// # Panics
    /// If `data` is too short, or rows would overlap.
    #[inline]
    #[track_caller]
    pub fn strided(data: &'a [T], rows: usize, cols: usize, stride: usize) -> Self {
        let stride = checked_stride(data.len(), rows, cols, stride);
        Self { start: data.as_ptr(), rows, cols, stride, borrowed: PhantomData }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Distance between the starts of two rows.
    #[inline]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The first entry (dangling if the view is empty).
    #[inline]
    pub(crate) fn as_ptr(&self) -> *const T {
        self.start
    }

    /// Row `i`.
    #[inline]
    #[track_caller]
    pub fn row(&self, i: usize) -> &'a [T] {
        assert!(i < self.rows, "row {i} of a view of {} rows", self.rows);
        // SAFETY: `i < rows`, so the row lies inside the borrow that the constructor checked.
        unsafe { core::slice::from_raw_parts(self.start.add(i * self.stride), self.cols) }
    }

    /// All rows in order.
    pub fn rows_iter(self) -> impl ExactSizeIterator<Item = &'a [T]> {
        (0..self.rows).map(move |i| self.row(i))
    }

    /// A band of columns.
    #[track_caller]
    pub fn columns(self, range: Range<usize>) -> View<'a, T> {
        check_range(&range, self.cols, "columns");
        Self { start: self.start.wrapping_add(range.start), cols: range.end - range.start, ..self }
    }

    /// A range of rows.
    #[track_caller]
    pub fn rows_range(self, range: Range<usize>) -> View<'a, T> {
        check_range(&range, self.rows, "rows");
        Self {
            start: self.start.wrapping_add(range.start * self.stride),
            rows: range.end - range.start,
            ..self
        }
    }

    /// The rows cut into panels of `rows` rows, the last one shorter.
    #[track_caller]
    pub fn row_panels(self, rows: usize) -> Vec<View<'a, T>> {
        assert!(rows > 0, "row panels of no rows");
        (0..self.rows.div_ceil(rows))
            .map(|p| self.rows_range(p * rows..self.rows.min((p + 1) * rows)))
            .collect()
    }

    /// Whether rows follow one another without gaps.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.stride == self.cols || self.rows <= 1
    }

    /// All entries, row by row.
    ///
    /// # Panics
    /// If the view is not contiguous.
    #[inline]
    #[track_caller]
    pub fn as_slice(&self) -> &'a [T] {
        assert!(
            self.is_contiguous(),
            "a view of {} columns with row stride {} is not one slice",
            self.cols,
            self.stride
        );
        // SAFETY: contiguous rows are one run of `rows · cols` entries inside the borrow.
        unsafe { core::slice::from_raw_parts(self.start, self.rows * self.cols) }
    }

    /// A copy of the entries, row by row.
    pub fn to_vec(&self) -> Vec<T>
    where
        T: Copy,
    {
        self.rows_iter().flatten().copied().collect()
    }
}

impl<'a, T> ViewMut<'a, T> {
    /// Contiguous rows; `data` may be longer than needed.
    ///
    /// # Panics
    /// If `data` is too short.
    #[inline]
    #[track_caller]
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Rows that start `stride` apart.
    ///
    /// # Panics
    /// If `data` is too short, or rows would overlap.
    #[inline]
    #[track_caller]
    pub fn strided(data: &'a mut [T], rows: usize, cols: usize, stride: usize) -> Self {
        let stride = checked_stride(data.len(), rows, cols, stride);
        Self { start: data.as_mut_ptr(), rows, cols, stride, borrowed: PhantomData }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Distance between the starts of two rows.
    #[inline]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The first entry (dangling if the view is empty).
    #[inline]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.start
    }

    /// Row `i`, to read.
    #[inline]
    #[track_caller]
    pub fn row(&self, i: usize) -> &[T] {
        self.as_view().row(i)
    }

    /// Row `i`, to write.
    #[inline]
    #[track_caller]
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows, "row {i} of a view of {} rows", self.rows);
        // SAFETY: `i < rows`, so the row lies inside the exclusive borrow; `&mut self` keeps it the only one.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(i * self.stride), self.cols) }
    }

    /// The same entries, to read.
    #[inline]
    pub fn as_view(&self) -> View<'_, T> {
        View {
            start: self.start,
            rows: self.rows,
            cols: self.cols,
            stride: self.stride,
            borrowed: PhantomData,
        }
    }

    /// The same view for a shorter while.
    #[inline]
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        ViewMut {
            start: self.start,
            rows: self.rows,
            cols: self.cols,
            stride: self.stride,
            borrowed: PhantomData,
        }
    }

    /// A band of columns.
    #[track_caller]
    pub fn columns_mut(&mut self, range: Range<usize>) -> ViewMut<'_, T> {
        check_range(&range, self.cols, "columns");
        // A part of an exclusive borrow, held by `&mut self` for as long as the part lives.
        ViewMut {
            start: self.start.wrapping_add(range.start),
            cols: range.end - range.start,
            rows: self.rows,
            stride: self.stride,
            borrowed: PhantomData,
        }
    }

    /// A range of rows.
    #[track_caller]
    pub fn rows_range_mut(&mut self, range: Range<usize>) -> ViewMut<'_, T> {
        check_range(&range, self.rows, "rows");
        ViewMut {
            start: self.start.wrapping_add(range.start * self.stride),
            rows: range.end - range.start,
            cols: self.cols,
            stride: self.stride,
            borrowed: PhantomData,
        }
    }

    /// The rows before `at` and the rows from `at` on.
    #[track_caller]
    pub fn split_rows(self, at: usize) -> (ViewMut<'a, T>, ViewMut<'a, T>) {
        check_range(&(0..at), self.rows, "rows");
        // Disjoint rows of one exclusive borrow, which `self` gives up.
        (
            ViewMut { rows: at, ..self },
            ViewMut { start: self.start.wrapping_add(at * self.stride), rows: self.rows - at, ..self },
        )
    }

    /// The rows cut into panels of `rows` rows, the last one shorter.
    #[track_caller]
    pub fn row_panels(self, rows: usize) -> Vec<ViewMut<'a, T>> {
        assert!(rows > 0, "row panels of no rows");
        let mut panels = Vec::with_capacity(self.rows.div_ceil(rows));
        let mut rest = self;
        while rest.rows > 0 {
            let at = rest.rows.min(rows);
            let (panel, below) = rest.split_rows(at);
            panels.push(panel);
            rest = below;
        }
        panels
    }

    /// The columns cut into disjoint bands of `width` columns, the last one narrower: what lets threads write the
    /// heads of one matrix at the same time.
    #[track_caller]
    pub fn split_columns(self, width: usize) -> Vec<ViewMut<'a, T>> {
        assert!(width > 0, "column bands of no columns");
        // Disjoint columns of one exclusive borrow, which `self` gives up. No slice ever spans two bands, since
        // slices are made of single rows of a band.
        (0..self.cols.div_ceil(width))
            .map(|band| {
                let first = band * width;
                ViewMut {
                    start: self.start.wrapping_add(first),
                    cols: width.min(self.cols - first),
                    rows: self.rows,
                    stride: self.stride,
                    borrowed: PhantomData,
                }
            })
            .collect()
    }

    /// Whether rows follow one another without gaps.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.as_view().is_contiguous()
    }

    /// All entries, row by row, to read.
    ///
    /// # Panics
    /// If the view is not contiguous.
    #[inline]
    #[track_caller]
    pub fn as_slice(&self) -> &[T] {
        self.as_view().as_slice()
    }

    /// All entries, row by row, to write.
    ///
    /// # Panics
    /// If the view is not contiguous.
    #[inline]
    #[track_caller]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        assert!(
            self.is_contiguous(),
            "a view of {} columns with row stride {} is not one slice",
            self.cols,
            self.stride
        );
        // SAFETY: contiguous rows are one run of `rows · cols` entries inside the exclusive borrow.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.rows * self.cols) }
    }

    /// Copies every entry of a view of the same shape.
    #[track_caller]
    pub fn copy_from(&mut self, other: View<'_, T>)
    where
        T: Copy,
    {
        assert_eq!(
            (self.rows, self.cols),
            (other.rows, other.cols),
            "copying between views of different shapes"
        );
        for i in 0..self.rows {
            self.row_mut(i).copy_from_slice(other.row(i));
        }
    }

    /// Sets every entry.
    pub fn fill(&mut self, value: T)
    where
        T: Copy,
    {
        for i in 0..self.rows {
            self.row_mut(i).fill(value);
        }
    }
}

impl<'a, T> From<ViewMut<'a, T>> for View<'a, T> {
    fn from(view: ViewMut<'a, T>) -> Self {
        View {
            start: view.start,
            rows: view.rows,
            cols: view.cols,
            stride: view.stride,
            borrowed: PhantomData,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for View<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows_iter()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for ViewMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_view(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::{View, ViewMut};

    #[test]
    fn bands_of_one_matrix_can_be_written_by_two_threads_at_once() {
        let mut data = vec![0.0_f32; 6 * 10];
        let bands = ViewMut::new(&mut data, 6, 10).split_columns(4);
        assert_eq!(bands.iter().map(ViewMut::cols).collect::<Vec<_>>(), [4, 4, 2]);
        std::thread::scope(|scope| {
            for (b, mut band) in bands.into_iter().enumerate() {
                scope.spawn(move || {
                    for i in 0..band.rows() {
                        band.row_mut(i).fill((b + 10 * i) as f32);
                    }
                });
            }
        });
        for (at, &x) in data.iter().enumerate() {
            assert_eq!(x, ((at % 10) / 4 + 10 * (at / 10)) as f32);
        }
    }

    #[test]
    fn panels_cover_every_row_once() {
        let mut data: Vec<u32> = (0..21).collect();
        let panels = ViewMut::new(&mut data, 7, 3).row_panels(3);
        let rows: Vec<u32> =
            panels.iter().flat_map(|p| p.as_view().rows_iter().map(|r| r[0]).collect::<Vec<_>>()).collect();
        assert_eq!(rows, [0, 3, 6, 9, 12, 15, 18]);
    }

    #[test]
    fn a_band_of_a_panel_addresses_the_right_entries() {
        let data: Vec<u32> = (0..20).collect();
        let part = View::new(&data, 4, 5).rows_range(1..3).columns(2..4);
        assert_eq!(part.to_vec(), [7, 8, 12, 13]);
        assert!(!part.is_contiguous());
        assert!(part.rows_range(0..1).is_contiguous());
    }

    #[test]
    #[should_panic(expected = "needs 12 values, the slice has 11")]
    fn a_view_longer_than_its_slice_is_refused() {
        let _ = View::new(&[0.0_f32; 11], 3, 4);
    }

    #[test]
    #[should_panic(expected = "columns 2..6 of a view that has 5")]
    fn a_band_beyond_the_columns_is_refused() {
        let _ = View::new(&[0.0_f32; 10], 2, 5).columns(2..6);
    }

    #[test]
    fn empty_views_have_no_rows_to_read() {
        let empty: [f32; 0] = [];
        assert_eq!(View::new(&empty, 0, 5).rows_iter().count(), 0);
        assert_eq!(View::new(&empty, 3, 0).row(2), &[] as &[f32]);
    }
}
