//! Tests of statistics, in worlds of their own.

mod balance;
mod faults;
mod figures;
mod limits;
mod peaks;
mod skew;
mod threads;
mod world;
