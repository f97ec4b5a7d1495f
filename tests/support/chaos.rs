//! A bad link: a TCP proxy that is slow, far away, loses, cuts, swallows and goes half dead.
//!
//! What it does to a connection is decided when bytes pass, so that the weather can change under
//! an open one. Bytes are never changed or reordered: TCP would not let that through, and TLS above
//! it would end the connection, which is a cut.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sender::Random;

/// Bytes that pass at once: a packet.
const PACKET: usize = 1400;
/// Packets under way in one direction before the sender has to wait.
const WINDOW: usize = 48;
/// How long a lost packet is late: TCP sends it again after about so long.
const RETRANSMISSION: Duration = Duration::from_millis(300);

/// How the link is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Bytes a second of each direction, all connections together; 0 for no limit.
    pub rate: u64,
    /// One way.
    pub latency: Duration,
    /// Of a hundred packets so many come late.
    pub loss: u64,
    /// What else is wrong.
    pub trouble: Trouble,
}

/// What is wrong with a link besides its speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// Connections are taken and nothing passes.
    BlackHole,
    /// What goes out arrives; no answer comes back.
    HalfOpen,
    /// Nobody listens.
    Refused,
}

impl Default for Weather {
    fn default() -> Self {
        Self { rate: 0, latency: Duration::ZERO, loss: 0, trouble: Trouble::None }
    }
}

/// A link to one address; dropping it cuts everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: Mutex<SocketAddr>,
    weather: Mutex<Weather>,
    open: Mutex<Vec<TcpStream>>,
    /// When the next byte may leave, for each direction.
    free_at: [Mutex<Option<Instant>>; 2],
    passed: [AtomicU64; 2],
    random: Mutex<Random>,
    ended: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub fn start(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            weather: Mutex::default(),
            open: Mutex::default(),
            free_at: Default::default(),
            passed: Default::default(),
            random: Mutex::new(Random(seed)),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Relaxed) {
                    return;
                }
                accepting.connect(client);
            }
        });
        Ok(Self { address, shared })
    }

    /// Where to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another address behind it, for a server that came back on another port.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *lock(&self.shared.upstream) = upstream;
    }

    /// Changes the weather, also of open connections.
    pub fn set(&self, weather: Weather) {
        *lock(&self.shared.weather) = weather;
    }

    /// Cuts all open connections.
    pub fn cut(&self) {
        for stream in lock(&self.shared.open).drain(..) {
            // It may have ended by itself.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Bytes that have passed, towards the server and back.
    #[must_use]
    pub fn passed(&self) -> [u64; 2] {
        [0, 1].map(|way| self.shared.passed[way].load(Ordering::Relaxed))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let weather = *lock(&self.weather);
        if weather.trouble == Trouble::Refused {
            return drop(client.shutdown(Shutdown::Both));
        }
        let upstream = *lock(&self.upstream);
        let Ok(server) = TcpStream::connect_timeout(&upstream, Duration::from_secs(5)) else {
            return drop(client.shutdown(Shutdown::Both));
        };
        // Packets leave as they come.
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let halves = [(&client, &server), (&server, &client)];
        for (way, (from, to)) in halves.into_iter().enumerate() {
            if let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) {
                self.pump(way, from, to);
            }
        }
        lock(&self.open).extend([client, server]);
    }

    /// Two threads: one reads packets, one lets them out when it is their time.
    fn pump(self: &Arc<Self>, way: usize, mut from: TcpStream, mut to: TcpStream) {
        let queue = Arc::new(Queue::default());
        let (reading, shared) = (Arc::clone(&queue), Arc::clone(self));
        thread::spawn(move || {
            let mut packet = [0; PACKET];
            loop {
                let length = from.read(&mut packet).unwrap_or(0);
                let due = shared.due(way, length);
                let bytes = packet.get(..length).unwrap_or(&[]).to_vec();
                let ended = bytes.is_empty();
                if !reading.push(due, bytes) || ended {
                    return;
                }
            }
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            loop {
                let (due, bytes) = queue.pop();
                thread::sleep(due.saturating_duration_since(Instant::now()));
                while shared.swallows(way) && !shared.ended.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(20));
                }
                if bytes.is_empty() || to.write_all(&bytes).is_err() {
                    queue.close();
                    drop(to.shutdown(Shutdown::Both));
                    return;
                }
                shared.passed[way].fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
        });
    }

    fn swallows(&self, way: usize) -> bool {
        match lock(&self.weather).trouble {
            Trouble::BlackHole => true,
            Trouble::HalfOpen => way == 1,
            Trouble::None | Trouble::Refused => false,
        }
    }

    /// When a packet that came now is at the other end.
    fn due(&self, way: usize, bytes: usize) -> Instant {
        let weather = *lock(&self.weather);
        let now = Instant::now();
        let mut free_at = lock(&self.free_at[way]);
        let begin = free_at.map_or(now, |free| free.max(now));
        let seconds = match weather.rate {
            0 => 0.0,
            rate => bytes as f64 / rate as f64,
        };
        let sent = begin + Duration::from_secs_f64(seconds);
        *free_at = Some(sent);
        let late = if lock(&self.random).between(0, 100) < weather.loss {
            RETRANSMISSION
        } else {
            Duration::ZERO
        };
        sent + weather.latency + late
    }
}

/// When they are to be let out, and their bytes.
type Packets = VecDeque<(Instant, Vec<u8>)>;

/// Packets under way, and whether nobody takes them any more; a packet without bytes is the end.
#[derive(Default)]
struct Queue {
    packets: Mutex<(Packets, bool)>,
    changed: Condvar,
}

impl Queue {
    /// `false` when nobody takes packets any more.
    fn push(&self, due: Instant, bytes: Vec<u8>) -> bool {
        let full = |state: &mut (Packets, bool)| state.0.len() >= WINDOW && !state.1;
        let state = lock(&self.packets);
        let mut state =
            self.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        state.0.push_back((due, bytes));
        self.changed.notify_all();
        !state.1
    }

    fn pop(&self) -> (Instant, Vec<u8>) {
        let state = lock(&self.packets);
        let empty = |state: &mut (Packets, bool)| state.0.is_empty();
        let mut state =
            self.changed.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner);
        let packet = state.0.pop_front().unwrap_or_else(|| (Instant::now(), Vec::new()));
        self.changed.notify_all();
        packet
    }

    fn close(&self) {
        lock(&self.packets).1 = true;
        self.changed.notify_all();
    }
}
