// Who is logged in, and how a change is asked for: with the page's own token, which no other site can read.

export async function me() {
  const answer = await fetch("/api/me");
  return answer.ok ? answer.json() : null;
}

export async function cameras() {
  const answer = await fetch("/api/cameras");
  return answer.ok ? answer.json() : [];
}

// Headers that show who asks: a device's token, or the token of the session's page.
export function rights({ token, csrf }) {
  return token ? { Authorization: `Bearer ${token}` } : { "X-CSRF-Token": csrf ?? "" };
}

// What the server said was wrong, in its words.
export async function reason(answer) {
  try {
    return (await answer.json()).title;
  } catch {
    return `the server answered ${answer.status}`;
  }
}

// Post an offer (WHIP or WHEP) for a connection that has its tracks. Gives where the connection is to be deleted.
export async function connect(connection, endpoint, who) {
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", ...rights(who) },
    body: connection.localDescription.sdp,
  });
  if (answer.status !== 201) {
    const error = new Error(await reason(answer));
    error.status = answer.status;
    error.after = Number(answer.headers.get("Retry-After")) || 0;
    throw error;
  }
  const where = answer.headers.get("Location");
  await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  return where;
}

// `keepalive`: it is asked even while the page is left.
export function disconnect(where, who) {
  return fetch(where, { method: "DELETE", headers: rights(who), keepalive: true }).catch(() => null);
}

function gathered(connection) {
  return new Promise((done) => {
    const timer = setTimeout(done, 2000);
    const look = () => {
      if (connection.iceGatheringState === "complete") {
        clearTimeout(timer);
        done();
      }
    };
    connection.addEventListener("icegatheringstatechange", look);
    look();
  });
}
