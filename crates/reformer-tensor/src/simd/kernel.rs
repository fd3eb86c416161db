//! The boilerplate of a kernel: a struct of its arguments, and a function that dispatches it.

/// Defines a function and the [`Kernel`](super::Kernel) behind it.
///
/// `RowMax: pub fn row_max<'k>(x: &'k [f32]) -> f32 = |s| { … }` makes a struct `RowMax { x }`, which tests can run
/// at a level of their choice, and `row_max`, which runs it at the best one. Inside the body `s` is the
/// [`Simd`](super::Simd) token.
macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $name:ident: $vis:vis fn $function:ident<$life:lifetime>($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)?
            = |$s:ident| $body:block
    ) => {
        pub(crate) struct $name<$life> {
            $(pub(crate) $arg: $ty,)*
            pub(crate) life: core::marker::PhantomData<&$life ()>,
        }

        impl<$life> $name<$life> {
            #[allow(dead_code)]
            pub(crate) fn new($($arg: $ty),*) -> Self {
                Self { $($arg,)* life: core::marker::PhantomData }
            }
        }

        impl<$life> $crate::simd::Kernel for $name<$life> {
            type Output = kernel!(@out $($out)?);

            #[inline(always)]
            fn run<S: $crate::simd::Simd>(self, $s: S) -> Self::Output {
                let Self { $($arg,)* life: _ } = self;
                $body
            }
        }

        $(#[$doc])*
        #[inline]
        $vis fn $function<$life>($($arg: $ty),*) $(-> $out)? {
            $crate::simd::dispatch($name::new($($arg),*))
        }
    };
    (@out) => { () };
    (@out $out:ty) => { $out };
}

pub(crate) use kernel;
