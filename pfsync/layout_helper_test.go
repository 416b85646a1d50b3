package pfsync_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/gocarp/gocarp/pfsync"
)

// testdata/layout.json says where each field of each message is, as two compilers
// laid out the kernels' structs. A second decoder and encoder reads it: slow, by
// reflection, and without a line in common with the first.

type wireLayout struct {
	AF  map[string]map[string]uint8 `json:"address_families"`
	Rt  map[string]map[string]uint8 `json:"rt"`
	TCP map[uint8]string            `json:"tcp_state"`
	UDP map[uint8]string            `json:"udp_other_state"`

	TimeoutMax map[string]uint8  `json:"pftm_max"`
	Examples   map[string]string `json:"examples"`

	OS map[string]struct {
		Version uint8 `json:"header_version"`
		Actions []struct {
			Number  uint8
			Name    string
			Message string
			Size    int
			Receive string
		}
		Structs map[string]*layoutStruct
	}
}

type layoutStruct struct {
	Size int
	Flat []struct {
		Name         string
		Offset, Size int
	}
	fields []goField // made of Flat when first needed
}

var layout = sync.OnceValue(func() (l wireLayout) {
	b, err := os.ReadFile("testdata/layout.json")
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err != nil {
		panic(err)
	}
	return l
})

// Where the four formats and their systems are in the layout.
var layouts = []struct {
	dialect    pfsync.Dialect
	format     pfsync.Format
	os, family string
	state      string
}{
	{pfsync.OpenBSD, pfsync.FormatOpenBSD, "openbsd7", "openbsd", "state"},
	{pfsync.FreeBSD12, pfsync.Format1301, "freebsd12", "freebsd", "state"},
	{pfsync.FreeBSD14, pfsync.Format1400, "freebsd14_1400", "freebsd", "state_1400"},
	{pfsync.FreeBSD15, pfsync.Format1500, "freebsd15_1500", "freebsd", "state_1500"},
}

// goFields are the fields of our structs by the name that the layout has for them.
// Those that are alike but for case and underscores are left out.
var goFields = map[string]string{
	"pfss_flags": "Flags", "pfss_ttl": "TTL", "scrub_flag": "Valid", "pfss_ts_mod": "TSMod",
	"packets0": "Packets.0", "packets1": "Packets.1", "bytes0": "Bytes.0", "bytes1": "Bytes.1",
	"key[0]": "Wire", "key[1]": "Stack", "wire_af": "Wire.AF", "stack_af": "Stack.AF",
	"wire_proto": "Wire.Proto", "stack_proto": "Stack.Proto",
	"state_flags": "Flags", "tagname": "Tag", "sproto": "Proto",
}

// goPath is the way from a struct to the field that the layout calls name: numbers
// of fields and elements. It is nil for padding.
func goPath(t reflect.Type, name string) (path []int) {
	if strings.Contains(name, "pad") || strings.Contains(name, "spare") {
		return nil
	}
	for _, part := range strings.Split(name, ".") {
		to, ok := goFields[part]
		if !ok {
			to = part
		}
		for _, step := range strings.Split(to, ".") {
			if i, err := strconv.Atoi(step); err == nil {
				path, t = append(path, i), t.Elem()
				continue
			}
			want := strings.ReplaceAll(step, "_", "")
			f, ok := t.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, want) })
			if !ok {
				panic("no field for " + name)
			}
			path, t = append(path, f.Index...), f.Type
		}
	}
	return path
}

// A goField is a field of one of our structs on the wire.
type goField struct {
	path      []int
	off, size int
}

func (f goField) of(v reflect.Value) reflect.Value {
	for _, i := range f.path {
		if v.Kind() == reflect.Array {
			v = v.Index(i)
		} else {
			v = v.Field(i)
		}
	}
	return v
}

// fieldsOf are the fields of s, of which ours is t, without padding.
func (s *layoutStruct) fieldsOf(t reflect.Type) []goField {
	if s.fields == nil {
		for _, f := range s.Flat {
			if path := goPath(t, f.Name); path != nil {
				s.fields = append(s.fields, goField{path, f.Offset, f.Size})
			}
		}
	}
	return s.fields
}

// fill sets v from octets on the wire; an array shares them evenly, and gets what
// there is if that is for some of its elements only.
func fill(v reflect.Value, b []byte) {
	var wide [8]byte
	switch {
	case v.Kind() == reflect.Array:
		size := int(v.Type().Elem().Size())
		for i := range len(b) / size {
			fill(v.Index(i), b[i*size:][:size])
		}
	case v.CanUint():
		copy(wide[8-len(b):], b)
		v.SetUint(binary.BigEndian.Uint64(wide[:]))
	default:
		v.SetInt(int64(int32(binary.BigEndian.Uint32(b))))
	}
}

// spill is the opposite of fill.
func spill(v reflect.Value, b []byte) {
	switch {
	case v.Kind() == reflect.Array:
		size := int(v.Type().Elem().Size())
		for i := range len(b) / size {
			spill(v.Index(i), b[i*size:][:size])
		}
	case v.CanUint():
		copy(b, binary.BigEndian.AppendUint64(nil, v.Uint())[8-len(b):])
	default:
		binary.BigEndian.PutUint32(b, uint32(v.Int()))
	}
}

// decode reads b into the struct that m points to, padding aside.
func (s *layoutStruct) decode(m any, b []byte) {
	v := reflect.ValueOf(m).Elem()
	for _, f := range s.fieldsOf(v.Type()) {
		fill(f.of(v), b[f.off:][:f.size])
	}
}

// encode is the opposite of decode; padding is zero.
func (s *layoutStruct) encode(m any) []byte {
	b, v := make([]byte, s.Size), reflect.ValueOf(m).Elem()
	for _, f := range s.fieldsOf(v.Type()) {
		spill(f.of(v), b[f.off:][:f.size])
	}
	return b
}

// translate makes from[name] to[name]. A number that from does not have, but to
// does, goes where that came from, and so on, so that all numbers stay apart.
func translate(n uint8, from, to map[string]uint8) uint8 {
	if name, ok := nameOf(n, from); ok {
		return to[name]
	}
	for {
		name, ok := nameOf(n, to)
		if !ok {
			return n
		}
		n = from[name]
	}
}

func nameOf(n uint8, names map[string]uint8) (string, bool) {
	for name, number := range names {
		if number == n {
			return name, true
		}
	}
	return "", false
}

var (
	canonicalAF = map[string]uint8{"inet": uint8(pfsync.AFInet), "inet6": uint8(pfsync.AFInet6)}
	canonicalRt = map[string]uint8{
		"none": uint8(pfsync.RouteNone), "route-to": uint8(pfsync.RouteTo), "dup-to": uint8(pfsync.DupTo), "reply-to": uint8(pfsync.ReplyTo),
	}
)

// refDecode is what a state is, by the layout and what the kernels make of what is
// not on the wire.
func refDecode(i int, b []byte) *pfsync.State {
	at := layouts[i]
	st := new(pfsync.State)
	layout().OS[at.os].Structs[at.state].decode(st, b)

	af := layout().AF[at.family]
	for _, p := range []*pfsync.AF{&st.AF, &st.Wire.AF, &st.Stack.AF, &st.RtAF} {
		*p = pfsync.AF(translate(uint8(*p), af, canonicalAF))
	}
	switch at.format {
	case pfsync.FormatOpenBSD:
		st.Rt = pfsync.RouteType(translate(uint8(st.Rt), layout().Rt["openbsd"], canonicalRt))
		st.Wire.Proto, st.Stack.Proto = st.Proto, st.Proto
		for _, k := range []*pfsync.Key{&st.Wire, &st.Stack} {
			if icmp := map[pfsync.AF]uint8{pfsync.AFInet: 1, pfsync.AFInet6: 58}; k.Proto == 1 || k.Proto == 58 {
				if p, ok := icmp[k.AF]; ok {
					k.Proto = p
				}
			}
		}
	case pfsync.Format1301, pfsync.Format1400:
		if at.format == pfsync.Format1301 {
			st.RTableID[0] = -1
		} else if st.Rt != 0 {
			st.RtAF = st.AF
		}
		st.RTableID[1] = -1
		st.OrigIfName = st.IfName
		st.Wire.AF, st.Stack.AF = st.AF, st.AF
		st.Wire.Proto, st.Stack.Proto = st.Proto, st.Proto
	case pfsync.Format1500:
		st.RTableID[1] = -1
		st.AF, st.Proto = st.Wire.AF, st.Wire.Proto
	}
	return st
}

// refEncode is the opposite.
func refEncode(i int, st pfsync.State) []byte {
	at := layouts[i]
	if at.format == pfsync.Format1500 {
		for _, k := range []*pfsync.Key{&st.Wire, &st.Stack} {
			if k.AF == 0 {
				k.AF = st.AF
			}
			if k.Proto == 0 {
				k.Proto = st.Proto
			}
		}
	}
	af := layout().AF[at.family]
	for _, p := range []*pfsync.AF{&st.AF, &st.Wire.AF, &st.Stack.AF, &st.RtAF} {
		*p = pfsync.AF(translate(uint8(*p), canonicalAF, af))
	}
	if at.format == pfsync.FormatOpenBSD {
		st.Rt = pfsync.RouteType(translate(uint8(st.Rt), canonicalRt, layout().Rt["openbsd"]))
	}
	return layout().OS[at.os].Structs[at.state].encode(&st)
}
