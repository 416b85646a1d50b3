package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A layout is testdata/pfsync-layout.json: where each field of each message is,
// by the compilers of the kernels. It reads messages without package pfsync.
type layout struct {
	OS map[string]struct {
		Version int `json:"header_version"`
		Actions []struct {
			Number  uint8
			Name    string
			Message string
		}
		Structs map[string]struct {
			Size int
			Flat []leaf
		}
	}
	Enums map[string]map[string]int
}

type leaf struct {
	Name         string
	Offset, Size int
	Type         string
	Opaque       bool
}

func readLayout(t testing.TB) (l layout) {
	t.Helper()
	b, err := os.ReadFile("testdata/pfsync-layout.json")
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// An actionLayout is what a number on the wire stands for.
type actionLayout struct {
	name   string
	size   int // of a message, 0 if there are none
	leaves []leaf
}

func (l layout) action(version, number uint8) actionLayout {
	for _, sys := range l.OS {
		if sys.Version != int(version) {
			continue
		}
		for _, a := range sys.Actions {
			if a.Number == number {
				s := sys.Structs[a.Message]
				return actionLayout{a.Name, s.Size, s.Flat}
			}
		}
	}
	return actionLayout{name: strconv.Itoa(int(number))}
}

// sections reads a frame that nothing is wrong with.
func (l layout) sections(t testing.TB, b []byte) []flatSection {
	t.Helper()
	version, rest := b[0], b[20:]
	if version == 6 {
		rest = rest[:binary.BigEndian.Uint16(b[2:])-20]
	}
	var all []flatSection
	for end := len(b) - int(binary.BigEndian.Uint16(b[2:])); len(rest) >= 4 && (len(rest) > end || version == 6); {
		a, size, count := l.action(version, rest[0]), 4*int(rest[1]), int(binary.BigEndian.Uint16(rest[2:]))
		if version == 5 {
			size = a.size
		}
		rest = rest[4:]
		s := flatSection{Action: a.name, Count: count}
		for range count {
			if size >= a.size && a.size > 0 {
				s.Messages = append(s.Messages, l.message(version, a, rest[:size]))
			}
			rest = rest[min(size, len(rest)):]
		}
		all = append(all, s)
	}
	return all
}

// A flatSection is a [jsonSection] whose messages have no parts: those of an
// object are named a.b, those of an array a.0.
type flatSection struct {
	Action   string
	Count    int
	Messages []map[string]string
}

func flatten(sections []jsonSection) []flatSection {
	var all []flatSection
	for _, s := range sections {
		out := flatSection{Action: s.Action, Count: s.Count}
		for _, m := range s.Messages {
			flat := map[string]string{}
			flattenValue(flat, "", m)
			delete(flat, "refused") // a judgement
			out.Messages = append(out.Messages, flat)
		}
		all = append(all, out)
	}
	return all
}

func flattenValue(flat map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, part := range v {
			flattenValue(flat, strings.TrimPrefix(path+"."+key, "."), part)
		}
	case []any:
		for i, part := range v {
			flattenValue(flat, fmt.Sprintf("%s.%d", path, i), part)
		}
	default:
		flat[path] = fmt.Sprint(v)
	}
}

// jsonNames are the names of fields in the JSON where they are not the record's own.
var jsonNames = strings.NewReplacer("key[0]", "wire", "key[1]", "stack", "scrub.pfss_", "scrub.",
	"packets0", "packets.0", "packets1", "packets.1", "bytes0", "bytes.0", "bytes1", "bytes.1")

// message reads a message as the JSON has it.
func (l layout) message(version uint8, a actionLayout, b []byte) map[string]string {
	raw := map[string]string{} // numbers by the names of fields
	for _, f := range a.leaves {
		raw[f.Name] = strconv.FormatUint(number(b[f.Offset:][:min(f.Size, 8)]), 10)
	}
	inet6 := map[uint8]string{5: "28", 6: "24"}[version]
	families := strings.NewReplacer("#2#", "inet", "#"+inet6+"#", "inet6", "#", "")
	family := func(names ...string) string { // the first that is there and not 0
		for _, name := range names {
			if raw[name] != "" && raw[name] != "0" {
				return families.Replace("#" + raw[name] + "#")
			}
		}
		return "0"
	}

	out := map[string]string{}
	for _, f := range a.leaves {
		name, body := jsonNames.Replace(f.Name), b[f.Offset:][:f.Size]
		kind, array, _ := strings.Cut(f.Type, "[")
		switch {
		case kind == "char":
			body, _, _ := bytes.Cut(body, []byte{0})
			out[name] = string(body)
			continue
		case kind == "sockaddr":
			out[name] = sockaddrText(body, inet6)
			continue
		case l.Enums[f.Name] != nil:
			out[name] = raw[f.Name]
			for word, n := range l.Enums[f.Name] {
				if strconv.Itoa(n) == raw[f.Name] {
					out[name] = word
				}
			}
			continue
		case strings.HasSuffix(name, "af"):
			out[name] = family(f.Name)
			if f.Name != "af" && a.size == 264 { // OpenBSD: a key may leave it to the state
				out[name] = family(f.Name, "af")
			}
			continue
		case f.Opaque:
			out[name] = hex.EncodeToString(body)
			continue
		}
		n := 1
		if array != "" {
			fmt.Sscanf(array, "%d]", &n)
		}
		for i := range n {
			element := name
			if n > 1 {
				element = fmt.Sprintf("%s.%d", name, i)
			}
			part := body[i*f.Size/n:][:f.Size/n]
			switch {
			case kind == "pf_addr":
				prefix := strings.TrimSuffix(f.Name, "addr")
				own := strings.Replace(jsonNames.Replace(prefix), ".", "_", 1) + "af" // 1500: wire_af, stack_af, rt_af
				if raw["wire_af"] != "" && prefix != "rt_" {
					out[element] = addrText16(part, family(own))
				} else {
					out[element] = addrText16(part, family(prefix+"af", own, "af", "wire_af"))
				}
			case kind == "int32", name == "rule", name == "anchor", name == "nat_rule":
				out[element] = strconv.Itoa(int(int32(number(part))))
			default:
				out[element] = strconv.FormatUint(number(part), 10)
			}
		}
	}
	return derive(version, a, b, out)
}

// derive adds what the JSON says beside the record's own fields, and takes away
// what it leaves out.
func derive(version uint8, a actionLayout, b []byte, out map[string]string) map[string]string {
	for _, peer := range []string{"src", "dst"} {
		valid := out[peer+".scrub.scrub_flag"]
		maps.DeleteFunc(out, func(name, _ string) bool {
			return strings.HasPrefix(name, peer+".scrub.") && (valid == "0" || strings.HasSuffix(name, "_flag"))
		})
	}
	if a.size >= 242 {
		if bytes.Count(b[map[bool]int{true: 168, false: 160}[version == 6]:][:16], []byte{0}) == 16 {
			delete(out, "rt_addr")
		}
		if version == 5 {
			for _, key := range []string{"wire", "stack"} {
				out[key+".af"] = out["af"]
				if a.size == 360 {
					out[key+".af"] = out[key+"_af"]
				}
			}
		}
		if a.size == 360 {
			out["proto"] = out["wire_proto"]
		}
	}
	if a.name == "UPD_C" && version == 5 {
		out["state_flags"] = strconv.Itoa(int(b[81])) // padding there
	}
	return out
}

func number(b []byte) (n uint64) {
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}

func addrText16(b []byte, family string) string {
	switch family {
	case "inet":
		return netip.AddrFrom4([4]byte(b)).String()
	case "inet6":
		return netip.AddrFrom16([16]byte(b)).String()
	}
	return hex.EncodeToString(b)
}

func sockaddrText(b []byte, inet6 string) string {
	switch strconv.Itoa(int(b[1])) {
	case "2":
		return addrText16(b[4:], "inet")
	case inet6:
		return addrText16(b[8:24], "inet6")
	}
	return hex.EncodeToString(b)
}
