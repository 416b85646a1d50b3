package pfsync

// An Action is what the messages of a section are for. On the wire it is a number
// that means different things to different systems; here INS is INS, whatever the
// number, and the [Format] of its states stands beside it in a [Section].
type Action uint8

// The actions, under the kernels' names.
const (
	ActUnknown Action = iota // skipped: see [Parse]
	ActClr                   // CLR: remove all states of a creator
	ActIns                   // INS: a new state, whole
	ActInsAck                // INS_ACK: the state is known now, let its first packet go
	ActUpd                   // UPD: a state, whole
	ActUpdC                  // UPD_C: what changes in the life of a state
	ActUpdReq                // UPD_REQ: send me this state; id 0 and creatorid 0: all of them
	ActDel                   // DEL: remove a state, whole; nobody sends it
	ActDelC                  // DEL_C: remove a state
	ActBus                   // BUS: start or end of a bulk update
	ActTDB                   // TDB: counters of an IPsec security association
	ActEOF                   // EOF: end of a FreeBSD frame
)

var actionNames = [...]string{
	ActUnknown: "UNKNOWN", ActClr: "CLR", ActIns: "INS", ActInsAck: "INS_ACK", ActUpd: "UPD",
	ActUpdC: "UPD_C", ActUpdReq: "UPD_REQ", ActDel: "DEL", ActDelC: "DEL_C", ActBus: "BUS",
	ActTDB: "TDB", ActEOF: "EOF",
}

// String is the kernels' name: "CLR", "INS", "UPD_C".
func (a Action) String() string {
	if int(a) >= len(actionNames) {
		a = ActUnknown
	}
	return actionNames[a]
}

// A wireAction is what an action number stands for.
type wireAction struct {
	name   string
	action Action // ActUnknown: a dead one
	size   int    // octets of a message
	format Format // of states
}

// openBSDActions are by number (PFSYNC_ACT_*). Receivers step over the dead ones.
var openBSDActions = [...]wireAction{
	0:  {"CLR", ActClr, clrLen, 0},
	1:  {name: "OINS"},
	2:  {"INS_ACK", ActInsAck, idLen, 0},
	3:  {name: "OUPD"},
	4:  {"UPD_C", ActUpdC, updCLen, 0},
	5:  {"UPD_REQ", ActUpdReq, idLen, 0},
	6:  {"DEL", ActDel, lenOpenBSD, FormatOpenBSD},
	7:  {"DEL_C", ActDelC, idLen, 0},
	8:  {name: "INS_F"},
	9:  {name: "DEL_F"},
	10: {"BUS", ActBus, busLen, 0},
	11: {name: "OTDB"},
	12: {name: "EOF"},
	13: {"INS", ActIns, lenOpenBSD, FormatOpenBSD},
	14: {"UPD", ActUpd, lenOpenBSD, FormatOpenBSD},
	15: {"TDB", ActTDB, tdbLen, 0},
}

// freeBSDActions are by number; FreeBSD 12 has the first 13, FreeBSD 14 the first
// 15. The dead ones are errors, and so is DEL from FreeBSD 14 on.
var freeBSDActions = [...]wireAction{
	0:  {"CLR", ActClr, clrLen, 0},
	1:  {"INS_1301", ActIns, len1301, Format1301},
	2:  {"INS_ACK", ActInsAck, idLen, 0},
	3:  {"UPD_1301", ActUpd, len1301, Format1301},
	4:  {"UPD_C", ActUpdC, updCLen, 0},
	5:  {"UPD_REQ", ActUpdReq, idLen, 0},
	6:  {"DEL", ActDel, len1301, Format1301},
	7:  {"DEL_C", ActDelC, idLen, 0},
	8:  {name: "INS_F"},
	9:  {name: "DEL_F"},
	10: {"BUS", ActBus, busLen, 0},
	11: {"TDB", ActTDB, tdbLenFreeBSD, 0},
	12: {"EOF", ActEOF, 0, 0},
	13: {"INS_1400", ActIns, len1400, Format1400},
	14: {"UPD_1400", ActUpd, len1400, Format1400},
	15: {"INS_1500", ActIns, len1500, Format1500},
	16: {"UPD_1500", ActUpd, len1500, Format1500},
}
