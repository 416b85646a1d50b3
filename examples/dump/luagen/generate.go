package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
)

//go:embed dissector.lua.tmpl
var dissector string

// generate makes the dissector of a layout.
func generate(table []byte) ([]byte, error) {
	var l layout
	if err := json.Unmarshal(table, &l); err != nil {
		return nil, err
	}
	data := struct {
		Fields   map[string]field
		Messages map[string]message
		Versions map[int][]action
		Enums    map[string]map[string]int
	}{map[string]field{}, map[string]message{}, map[int][]action{}, l.Enums}
	for name, sys := range l.OS {
		for msg, st := range sys.Structs {
			rs, err := rows(st.Flat)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", name, msg, err)
			}
			data.Messages[name+"_"+msg] = message{st.Size, rs}
			for _, r := range rs {
				if err := register(data.Fields, r); err != nil {
					return nil, err
				}
			}
		}
		for _, a := range sys.Actions {
			act := action{a.Number, a.Name, ""}
			if a.Message != "" {
				act.Message = name + "_" + a.Message
			}
			data.Versions[sys.HeaderVersion] = append(data.Versions[sys.HeaderVersion], act)
		}
	}
	tmpl, err := template.New("").Funcs(template.FuncMap{"values": values, "join": join}).Parse(dissector)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = tmpl.Execute(&b, data)
	return b.Bytes(), err
}

// A field is what a display filter can ask for.
type field struct {
	Type   string // of the ProtoField
	Opaque bool
}

type message struct {
	Size int
	Rows []row
}

type action struct {
	Number        int
	Name, Message string
}

// widths orders the types of numbers: a field of different sizes is as wide as
// the widest.
var widths = []string{"uint8", "uint16", "uint32", "uint64"}

// register adds the fields of a row. An address has two of them.
func register(fields map[string]field, r row) error {
	switch r.Kind {
	case "pf_addr", "sockaddr":
		fields[r.Filter], fields[r.Filter+"6"] = field{Type: "ipv4"}, field{Type: "ipv6"}
		return nil
	case "char":
		r.Kind = "string"
	}
	old, known := fields[r.Filter]
	if known && old.Type != r.Kind {
		was, is := slices.Index(widths, old.Type), slices.Index(widths, r.Kind)
		if was < 0 || is < 0 {
			return fmt.Errorf("%s is of type %s and of type %s", r.Filter, old.Type, r.Kind)
		}
		r.Kind = widths[max(was, is)]
	}
	fields[r.Filter] = field{r.Kind, r.Opaque}
	return nil
}

// values is a map from numbers to names in Lua, in the order of the numbers.
func values(names map[string]int) string {
	sorted := slices.SortedFunc(maps.Keys(names), func(a, b string) int { return names[a] - names[b] })
	var items []string
	for _, name := range sorted {
		items = append(items, fmt.Sprintf("[%d] = %q", names[name], name))
	}
	return "{ " + strings.Join(items, ", ") + " }"
}

func join(numbers []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}
