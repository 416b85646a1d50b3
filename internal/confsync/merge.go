package confsync

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// A Merge says how to make the receiver's files of the sender's.
type Merge struct {
	Sections []Section // the others stay as they are
	Rules    Rules     // beside those that are built in

	// SkewAdd, 1 to 254, has the receiver's advskew follow the sender's at this
	// distance, instead of being its own.
	SkewAdd int
}

// Merge returns the tree that the receiver is to have: theirs, the sender's, where
// nothing says otherwise, and ours. A file that the sender does not have goes, except in
// section extra. Neither tree is changed.
func (m Merge) Merge(theirs, ours Tree) (Tree, error) {
	m.Rules = slices.Concat(Builtin, m.Rules)
	out := make(Tree)
	names := maps.Clone(ours)
	maps.Copy(names, theirs)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		section, _ := SectionOf(name)
		own, have := ours[name]
		their, sent := theirs[name]
		if !slices.Contains(m.Sections, section) || m.Rules.whole(section, name) || section == Extra && !sent {
			if have {
				out[name] = own
			}
			continue
		}
		data, keep, err := m.file(section, name, their.Data, sent, own.Data, have)
		if err != nil {
			return nil, fmt.Errorf("confsync: %s: %w", name, err)
		}
		if keep {
			out[name] = NewFile(name, mode(section, data, their.Mode, own.Mode, have), data)
		}
	}
	return out, nil
}

// file is what the receiver has of a file, if it has any of it.
func (m Merge) file(section Section, name string, theirs []byte, sent bool, ours []byte, have bool) (data []byte, keep bool, err error) {
	switch section {
	case Carp, Pfsync:
		if !sent {
			return nil, false, nil
		}
		ifname := strings.TrimPrefix(name, "hostname.")
		text, err := m.hostname(section, ifname, string(theirs), string(ours), have)
		return []byte(text), true, err
	case Sysctl, Settings:
		text := mergeKeys(string(theirs), string(ours), m.Rules.concern(section, name).keepsKey)
		return []byte(text), sent || text != "", nil
	}
	return theirs, sent, nil
}

// mode is what the file may be used for: by the same people as before, if it was there,
// except that scripts are as the sender's, and that passphrases are the owner's alone.
func mode(section Section, data []byte, theirs, ours fs.FileMode, have bool) fs.FileMode {
	out := theirs &^ 0o133
	switch {
	case section == Hooks:
		out = theirs &^ 0o022
	case have:
		out = ours
	}
	if section == Carp && strings.Contains(string(data), "pass") {
		out &= 0o600
	}
	return out
}
