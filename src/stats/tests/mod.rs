mod balance;
mod faults;
mod limits;
mod threads;
mod world;
