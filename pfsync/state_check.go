package pfsync

// Check tells whether the kernel of d takes st in an INS. It fails with
// [ErrValue], which says what is wrong (pfsync_in_ins).
func (st *State) Check(d Dialect) error {
	if err := st.CheckUpdate(d); err != nil {
		return err
	}
	switch {
	case st.Direction > Out:
		return &valueError{"direction", uint8(st.Direction)}
	case !st.AF.known():
		return &valueError{"address family", uint8(st.AF)}
	case st.Wire.AF == AFUnspec && st.Stack.AF == AFUnspec: // both as State.AF
		return nil
	case !st.Wire.AF.known():
		return &valueError{"address family of the wire key", uint8(st.Wire.AF)}
	case !st.Stack.AF.known():
		return &valueError{"address family of the stack key", uint8(st.Stack.AF)}
	}
	return nil
}

// CheckUpdate tells whether the kernel of d takes st in an UPD, where it looks at
// less than in an INS (pfsync_in_upd). It fails with [ErrValue].
func (st *State) CheckUpdate(d Dialect) error {
	return checkUpdate(d, &st.Src, &st.Dst, st.Timeout)
}

// Check tells whether the kernel of d takes m. It fails with [ErrValue], which
// says what is wrong (pfsync_in_upd_c).
func (m *UpdC) Check(d Dialect) error {
	return checkUpdate(d, &m.Src, &m.Dst, m.Timeout)
}

func checkUpdate(d Dialect, src, dst *Peer, timeout Timeout) error {
	switch {
	case uint8(timeout) >= d.traits().timeouts:
		return &valueError{"timeout class", uint8(timeout)}
	case src.State > maxPeerState:
		return &valueError{"state of the initiator", uint8(src.State)}
	case dst.State > maxPeerState:
		return &valueError{"state of the responder", uint8(dst.State)}
	}
	return nil
}

func (af AF) known() bool { return af == AFInet || af == AFInet6 }
