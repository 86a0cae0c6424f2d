mod balance;
mod faults;
mod figures;
mod skew;
mod threads;
mod world;
