//! Tables as a dialogue meets them: asked, booked, talked about, and found in annotated corpora.

mod asking;
mod booking;
mod demo;
mod grounding;
mod scoring;
mod talking;
mod town;
