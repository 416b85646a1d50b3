// Package control carries command lines to a running program over a Unix socket,
// and what the program has to say about them back: the text for standard output
// and standard error, and the exit code.
//
// The socket belongs to the user who runs the program, with mode 0600: whoever may
// connect may do everything.
//
// # Protocol
//
// One request per connection. Requests and answers are JSON objects, one a line:
//
//	-> {"version":1,"args":["ifconfig","carp1","down"]}
//	<- {"version":1,"out":"text for standard output\n"}
//	<- {"version":1,"err":"text for standard error\n","exit":1}
//
// There may be any number of answers, and the one with "exit" is the last. A client
// that hangs up ends the command if that was going to go on for ever.
package control

// Version is the version of the protocol. A server refuses requests of another one.
const Version = 1

type request struct {
	Version int      `json:"version"`
	Args    []string `json:"args"`
}

type answer struct {
	Version int    `json:"version"`
	Out     string `json:"out,omitempty"`
	Err     string `json:"err,omitempty"`
	Exit    *int   `json:"exit,omitempty"`
}
