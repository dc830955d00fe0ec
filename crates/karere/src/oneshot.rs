//! One call: publish something, or receive something, and be gone.
