//! A disk without room: what was there stays, what is refused is not there, what gives room back works, and
//! once there is room everything goes on, without a restart.

mod device;
mod ledger;
mod server;
