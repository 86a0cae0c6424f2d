mod balance;
mod faults;
mod world;
