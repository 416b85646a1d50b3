package ifconfig

import "fmt"

// A Pos says where a word stands. The zero Pos is nowhere.
type Pos struct {
	File string // "hostname.carp1", or the command: "ifconfig carp1"
	Line int    // from 1; 0 for a command
	Word int    // from 1, in its line with all continuations; 0 for the line
}

// String is FILE:LINE, or the command.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// An Error is something wrong with a word, a line or what they add up to.
type Error struct {
	Pos  Pos
	Word string // empty if there is none, or if it may be part of a passphrase
	Msg  string // what was expected
}

func (e *Error) Error() string {
	switch {
	case e.Word != "":
		return fmt.Sprintf("%v: word %q: %s", e.Pos, e.Word, e.Msg)
	case e.Pos.Word > 0:
		return fmt.Sprintf("%v: word %d: %s", e.Pos, e.Pos.Word, e.Msg)
	}
	return fmt.Sprintf("%v: %s", e.Pos, e.Msg)
}
