// The channels that the page shows, and the one that the game is told its speed on.

export const kChannels = ['game', 'chat', 'host', 'log'] as const;
export type Channel = (typeof kChannels)[number];
export const kControl = 'game.control';
