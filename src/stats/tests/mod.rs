mod balance;
mod faults;
mod figures;
mod limits;
mod skew;
mod threads;
mod world;
