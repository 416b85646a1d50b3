package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/gocarp/gocarp/pfsync"
)

// The lengths of the two headers of pfsync.
const (
	pfsyncHeaderLen    = 20 // version, pad, length and 16 octets of ruleset checksum
	pfsyncSubheaderLen = 4  // action, size of a message, count
)

// versions of the header, and whose they are.
var versions = map[uint8]string{5: "freebsd", 6: "openbsd"}

// readPfsync returns the sections of b, an IP payload, if it is of the dialect
// that is wanted: auto, openbsd or freebsd. What is wrong with b ends the
// sections, but for the one that it is in: of that, all is shown that is there.
func readPfsync(want string, b []byte) ([]section, error) {
	none := []section{}
	if len(b) < pfsyncHeaderLen {
		return none, pfsync.ErrShort
	}
	switch is := versions[b[0]]; {
	case is == "":
		return none, errors.New("version is neither 5 nor 6")
	case want == "openbsd" && is != want:
		return none, errors.New("version is not 6")
	case want == "freebsd" && is != want:
		return none, errors.New("version is not 5")
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case n < pfsyncHeaderLen:
		return none, fmt.Errorf("length of %d, shorter than its header", n)
	case n > len(b):
		// A kernel drops it; but it may be the capture that was cut.
		cut := slices.Clone(b)
		binary.BigEndian.PutUint16(cut[2:], uint16(len(b)))
		sections, _ := readSections(cut)
		return sections, fmt.Errorf("length of %d in a packet of %d octets", n, len(b))
	case b[0] == 6:
		b = b[:n] // FreeBSD looks at all there is
	}
	return readSections(b)
}

// readSections reads b, whose header is good.
func readSections(b []byte) ([]section, error) {
	f, err := parse(b)
	sections, end := []section{}, pfsyncHeaderLen
	for s := range f.Sections() {
		sections = append(sections, newSection(f.Dialect, s, s.Messages()))
		end += pfsyncSubheaderLen + s.Size*s.Count
	}
	bad := f.Bad
	switch {
	case err == nil:
		return sections, nil
	case errors.Is(err, pfsync.ErrAction):
		sections = append(sections, newSection(f.Dialect, bad, bad.Messages()))
		if f.Dialect == pfsync.OpenBSD {
			err = fmt.Errorf("%d messages of %d octets of action %s, which cannot be skipped", bad.Count, bad.Size, actionName(bad))
		} else {
			err = fmt.Errorf("action %s is unknown", actionName(bad))
		}
	case bad.Count > 0:
		whole := b[end+pfsyncSubheaderLen:]
		n := len(whole) / bad.Size
		sections = append(sections, newSection(f.Dialect, bad, slices.Chunk(whole[:n*bad.Size], bad.Size)))
		err = fmt.Errorf("%d messages of action %s, and data for %d", bad.Count, actionName(bad), n)
	default:
		err = fmt.Errorf("%d octets behind EOF", len(b)-end)
	}
	return sections, err
}

// parse is [pfsync.Parse] with the newest dialect that knows all of b: FreeBSD 14
// has done away with DEL.
func parse(b []byte) (pfsync.Frame, error) {
	if b[0] == 6 {
		return pfsync.Parse(pfsync.OpenBSD, b)
	}
	f, err := pfsync.Parse(pfsync.FreeBSD15, b)
	if f.Bad.Action == pfsync.ActDel {
		return pfsync.Parse(pfsync.FreeBSD12, b)
	}
	return f, err
}

// newSection reads the messages of s.
func newSection(d pfsync.Dialect, s pfsync.Section, messages iter.Seq[[]byte]) section {
	out := section{Action: actionName(s), Count: s.Count, Messages: []message{}}
	for b := range messages {
		if m := newMessage(d, s, b); m != nil {
			out.Messages = append(out.Messages, m)
		}
	}
	return out
}

// actionName is the kernel's name, or the number of what has none. Old states of
// FreeBSD go by the name that newer ones gave them.
func actionName(s pfsync.Section) string {
	switch {
	case s.Name() == pfsync.ActUnknown.String():
		return strconv.Itoa(int(s.Number))
	case s.Format == pfsync.Format1301 && s.Action != pfsync.ActDel:
		return s.Action.String() + "_1301"
	}
	return s.Name()
}
