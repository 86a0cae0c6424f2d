mod balance;
mod faults;
mod figures;
mod limits;
mod peaks;
mod skew;
mod threads;
mod world;
