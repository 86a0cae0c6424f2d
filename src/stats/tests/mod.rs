mod balance;
mod faults;
mod threads;
mod world;
