//! The same object pickled by Python 3.11 in every protocol:
//! `a.x = [1, -2, 2**40, 2**80]`, `a.y = {'k': (1.5, True, None)}`, `a.me = a`, `a.s = {3}`,
//! `a.o = OrderedDict(q=1)`, class `m.A`.

use super::*;

const PROTOCOL_0: &[u8] = b"ccopy_reg\n_reconstructor\np0\n(cm\nA\np1\nc__builtin__\nobject\np2\nNtp3\n\
    Rp4\n(dp5\nVx\np6\n(lp7\nI1\naI-2\naL1099511627776L\naL1208925819614629174706176L\nasVy\np8\n\
    (dp9\nVk\np10\n(F1.5\nI01\nNtp16\nssVme\np17\ng4\nsVs\np18\nc__builtin__\nset\np19\n((lp20\nI3\n\
    atp21\nRp22\nsVo\np23\nccollections\nOrderedDict\np24\n(tRp25\nVq\np26\nI1\nssb.";
const PROTOCOL_2: &[u8] = b"\x80\x02cm\nA\nq\x00)\x81q\x01}q\x02(X\x01\x00\x00\x00xq\x03]q\x04(K\x01J\
    \xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x01eX\x01\x00\x00\x00yq\x05}q\x06X\x01\x00\x00\x00kq\x07(G?\xf8\x00\x00\x00\x00\x00\x00\x88Ntq\rs\
    X\x02\x00\x00\x00meq\x0eh\x01X\x01\x00\x00\x00sq\x0fc__builtin__\nset\nq\x10]q\x11K\x03a\x85q\x12R\
    q\x13X\x01\x00\x00\x00oq\x14ccollections\nOrderedDict\nq\x15)Rq\x16X\x01\x00\x00\x00qq\x17K\x01sub.";
const PROTOCOL_5: &[u8] = b"\x80\x05\x95\x8d\x00\x00\x00\x00\x00\x00\x00\x8c\x01m\x94\x8c\x01A\x94\x93\
    \x94)\x81\x94}\x94(\x8c\x01x\x94]\x94(K\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\
    \x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01e\x8c\x01y\x94}\x94\x8c\x01k\x94(G?\xf8\x00\x00\
    \x00\x00\x00\x00\x88Nt\x94s\x8c\x02me\x94h\x03\x8c\x01s\x94\x8f\x94(K\x03\x90\x8c\x01o\x94\x8c\x0b\
    collections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94\x8c\x01q\x94K\x01sub.";

#[test]
fn every_protocol_gives_the_same_graph() {
    for data in [PROTOCOL_0, PROTOCOL_2, PROTOCOL_5] {
        let pickle = Pickle::parse(data).unwrap();
        let root = pickle.root();
        assert_eq!(pickle.class(root), Some(("m", "A")));
        let attribute = |name| pickle.attribute(root, name).unwrap();
        let x = pickle.items(attribute("x")).unwrap();
        let x: Vec<&Node> = x.iter().map(|&id| pickle.node(id)).collect();
        assert_eq!(x, [&Node::Int(1), &Node::Int(-2), &Node::Int(1 << 40), &Node::BigInt]);
        let tuple = pickle.items(pickle.get(attribute("y"), "k").unwrap()).unwrap();
        let tuple: Vec<&Node> = tuple.iter().map(|&id| pickle.node(id)).collect();
        assert_eq!(tuple, [&Node::Float(1.5), &Node::Bool(true), &Node::None]);
        assert_eq!(attribute("me"), root, "a cycle");
        let set = pickle.items(attribute("s")).unwrap();
        assert_eq!(pickle.count(set[0]), Some(3));
        assert_eq!(pickle.count(pickle.get(attribute("o"), "q").unwrap()), Some(1));
    }
}

#[test]
fn python_2_ordered_dict_and_strings() {
    let data = b"ccollections\nOrderedDict\n((l(lS'a'\naI7\naatR.";
    let pickle = Pickle::parse(data).unwrap();
    assert_eq!(pickle.count(pickle.get(pickle.root(), "a").unwrap()), Some(7));
}

#[test]
fn damage_is_named() {
    let check = |data: &[u8], expected: &str| {
        assert_eq!(Pickle::parse(data).unwrap_err().to_string(), expected);
    };
    check(b"", "pickle byte 0, opcode (end): the data end here; the file is cut short");
    check(
        b"\x80\x06.",
        "pickle byte 0, opcode PROTO: a protocol above 5 is not supported in a checkpoint",
    );
    check(b"K\x01K", "pickle byte 2, opcode BININT1: the data end here; the file is cut short");
    check(b"\xff", "pickle byte 0, opcode (unknown): byte 0xff is no opcode of protocols 0 to 5");
    check(
        b"X\xff\xff\xff\xffab.",
        "pickle byte 0, opcode BINUNICODE: the data end here; the file is cut short",
    );
    check(
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
        "pickle byte 0, opcode BINBYTES8: the data end here; the file is cut short",
    );
    check(b"h\x05.", "pickle byte 0, opcode BINGET: memo entry 5 was never stored");
    check(b"K\x01(a.", "pickle byte 3, opcode APPEND: the stack holds too few values");
    check(b"t", "pickle byte 0, opcode TUPLE: no container is open");
    check(
        b"K\x01K\x02K\x03s.",
        "pickle byte 6, opcode SETITEM: a dictionary is expected on the stack",
    );
    check(
        b"}(K\x01u.",
        "pickle byte 4, opcode SETITEMS: an even number of keys and values is expected on the stack",
    );
    check(
        b"\x82\x01.",
        "pickle byte 0, opcode EXT1: the extension registry is not supported in a checkpoint",
    );
    check(
        b"V\\u0041\n.",
        "pickle byte 0, opcode UNICODE: escaped text of protocol 0 is not supported in a checkpoint",
    );
}

#[test]
fn floods_meet_a_limit() {
    let flood = |byte: u8, count: usize| Pickle::parse(&vec![byte; count]).unwrap_err().problem;
    assert!(matches!(flood(b'(', 20_000), PickleProblem::TooMany { what: "open containers", .. }));
    let stack = flood(b'N', 1_000_001);
    assert!(matches!(stack, PickleProblem::TooMany { what: "values on the stack", .. }));
    let nodes = flood_pairs();
    assert!(matches!(nodes, PickleProblem::TooMany { what: "values", .. }));
}

fn flood_pairs() -> PickleProblem {
    Pickle::parse(&b"N0".repeat(2_000_001)).unwrap_err().problem
}
