pub fn frame(_data: &[u8]) {}
