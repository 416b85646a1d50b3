package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A layout is the table of the messages.
type layout struct {
	OS    map[string]system
	Enums map[string]map[string]int // by the name of a field: what its values mean
}

// A system is what a version of the frame header stands for.
type system struct {
	HeaderVersion int `json:"header_version"`
	Actions       []struct {
		Number  int
		Name    string
		Message string // a name in Structs, or empty
	}
	Structs map[string]struct {
		Size int
		Flat []leaf
	}
}

// A leaf is a field of a message: a number, text or an address, or an array of these.
type leaf struct {
	Name         string
	Offset, Size int
	Type         string
	Opaque       bool // to be shown as hex digits
}

// A row is what the dissector reads at one place.
type row struct {
	Filter       string // the name behind "pfsync."
	Kind         string
	Offset, Size int
	AF           []int // of an address: where its family may stand; the first that is not 0 counts
	Opaque       bool
}

var arrayType = regexp.MustCompile(`^(\w+)\[(\d+)\]$`)

// rows makes one row of a leaf, or as many of one name as an array has elements.
func rows(leaves []leaf) ([]row, error) {
	var all []row
	for _, l := range leaves {
		r := row{Filter: filter(l.Name), Kind: l.Type, Offset: l.Offset, Size: l.Size, Opaque: l.Opaque}
		n := 1
		if m := arrayType.FindStringSubmatch(l.Type); m != nil {
			r.Kind = m[1]
			n, _ = strconv.Atoi(m[2])
		}
		switch r.Kind {
		case "char": // an array of which is one text
			n = 1
		case "pf_addr":
			if r.AF = families(leaves, l.Name); r.AF == nil {
				return nil, fmt.Errorf("nothing says the family of %s", l.Name)
			}
		case "sockaddr", "uint8", "uint16", "uint32", "uint64", "int32":
		default:
			return nil, fmt.Errorf("type %q of %s is not known", l.Type, l.Name)
		}
		r.Size /= n
		for range n {
			all = append(all, r)
			r.Offset += r.Size
		}
	}
	return all, nil
}

// filter is the name of a leaf in a display filter.
func filter(name string) string {
	return strings.NewReplacer("key[0]", "wire", "key[1]", "stack").Replace(name)
}

// families finds where the family of an address may stand: beside it, in a field
// named after it, or in the one for the whole state.
func families(leaves []leaf, name string) []int {
	prefix := strings.TrimSuffix(name, "addr") // "key[0]." or "rt_"
	var offsets []int
	for _, want := range []string{prefix + "af", strings.ReplaceAll(filter(prefix), ".", "_") + "af", "af"} {
		for _, l := range leaves {
			if l.Name == want && !slices.Contains(offsets, l.Offset) {
				offsets = append(offsets, l.Offset)
			}
		}
	}
	return offsets
}
